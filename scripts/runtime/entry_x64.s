# The code of entry.ts for x86-64, started as _start is: argc, argv, NULL, envp, NULL and auxv at rsp, rdx for exit.
# First it checks that there are enough descriptors and memory. Then it copies everything at rsp to below it, with our settings
# first in envp (some of them not for daemons) and without the closed variables; the C library holds pointers to the original.
# With less stack than 1 MiB, which arguments and environment may use up, the copy is at the top of a stack of our own instead.
# The leader of a daemon's session forks, and only its child starts the runtime.
.intel_syntax noprefix
  mov rbx, rdx
  mov edi, 30                     # SIGPWR, with which the engine stops its threads: it says so if it was ignored
  lea rsi, [rsp - 192]            # below the red zone
  xor eax, eax                    # SIG_DFL
  mov [rsi], rax
  mov [rsi + 8], rax
  mov [rsi + 16], rax
  mov [rsi + 24], rax
  xor edx, edx
  mov r10d, 8
  mov eax, 13                     # rt_sigaction
  syscall
  lea r12, [rip + data + 296]
  mov r14d, 1                     # the status if something is missing
limit:                            # resource, minimum, message and its length
  mov rdi, [r12]
  test rdi, rdi
  je 1f
  lea rsi, [rsp - 144]            # below the red zone
  mov eax, 97                     # getrlimit
  syscall
  test eax, eax
  jne 2f                          # a filter refuses it: no limit is known
  mov rax, [rsp - 144]
  cmp rax, [r12 + 8]
  lea r13, [r12 + 16]
  jb refuse
  cmp edi, 7                      # RLIMIT_NOFILE: if it is low, inherited descriptors may use it up
  jne 2f
  cmp rax, 256
  ja 2f
  mov r15d, eax
  xor r9d, r9d                    # how many are free
3:
  dec r15d
  cmp r15d, 3
  jb 4f
  mov edi, r15d
  mov esi, 1                      # F_GETFD
  mov eax, 72                     # fcntl
  syscall
  shr eax, 31                     # it fails
  add r9d, eax
  jmp 3b
4:
  cmp r9d, 3                      # besides the standard ones
  jb refuse
2:
  add r12, 32
  jmp limit
1:
  mov rbp, rax                    # the last limit, the stack's
  add r12, 8
  lea r13, [rip + data + 16]
  mov r14d, 5                     # EMUNGE_NO_MEMORY
room:                             # pairs of length and protection
  mov rsi, [r12]
  add r12, 8
  test rsi, rsi
  je choice
  mov rdx, [r12]
  add r12, 8
  xor edi, edi
  mov r10d, 0x4022                # MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
  mov r8, -1
  xor r9d, r9d
  mov eax, 9                      # mmap
  syscall
  test rax, rax
  js refuse
  mov rdi, rax
  mov eax, 11                     # munmap; rsi is still the length
  syscall
  jmp room
choice:                           # a length, a setting for as much address space, one for less
  mov rsi, [r12]
  mov r15, [r12 + 8]
  xor edi, edi
  xor edx, edx                    # PROT_NONE
  mov eax, 9                      # mmap; r8, r9 and r10 are as above
  syscall
  test rax, rax
  cmovs r15, [r12 + 16]
  lea r12, [r12 + 24]
  js copy
  mov rdi, rax
  mov eax, 11                     # munmap
  syscall
  jmp copy

refuse:
  mov rsi, [rsp + 8]              # argv[0]
refuse_as:                        # from its last slash on
  mov rdx, rsi
1:
  mov al, [rdx]
  inc rdx
  cmp al, '/'
  cmove rsi, rdx
  test al, al
  jne 1b
  dec rdx
  sub rdx, rsi
  mov edi, 2
  mov eax, 1                      # write
  syscall
  mov rsi, [r13]                  # the message and its length
  mov rdx, [r13 + 8]
  mov eax, 1
  syscall
  mov edi, r14d
  mov eax, 231                    # exit_group
  syscall

copy:
  mov rcx, [rsp]                  # argc
  lea rsi, [rsp + rcx*8 + 16]
1:
  mov rax, [rsi]                  # to the end of envp
  add rsi, 8
  test rax, rax
  jne 1b
2:
  mov rax, [rsi]                  # to the end of auxv, a pair of type 0
  add rsi, 16
  test rax, rax
  jne 2b
  sub rsi, rsp                    # the length of all that
  mov rdi, rsp
  sub rdi, rsi
  cmp rbp, 0x100000
  jae 3f
  add rsi, 0x120000               # a stack of 1 MiB, with 64 KiB to spare and 64 KiB below it that can't be accessed
  xor edi, edi
  mov edx, 3                      # PROT_READ | PROT_WRITE
  mov eax, 9                      # mmap; r8, r9 and r10 are as above
  syscall
  test rax, rax
  js refuse
  mov rdi, rax
  mov esi, 0x10000
  xor edx, edx                    # PROT_NONE
  mov eax, 10                     # mprotect
  syscall
  add rdi, 0x120000
3:
  sub rdi, 128                    # room for 16 settings
  and rdi, -16
  mov r9, rdi                     # where rsp will be
  mov rsi, rsp
  mov rcx, [rsp]
  add rcx, 2
  cld
  rep movsq                       # argc, argv, NULL
  mov rax, [rip + data]
  mov [rax], rdi                  # environ
  mov rax, r15
  stosq
setting:
  mov rax, [r12]
  add r12, 8
  test rax, rax
  je daemons
  stosq
  jmp setting
daemons:                          # is it one, by argv[0] or argv[1]?
  mov rcx, [rsp + 8]
  mov rdx, rcx
1:
  mov al, [rdx]
  inc rdx
  cmp al, '/'
  cmove rcx, rdx
  test al, al
  jne 1b
  mov rdx, [rcx]                  # the name's first 8 bytes
  xor ecx, ecx
  mov rax, [rsp + 16]
  test rax, rax
  je 2f
  mov rcx, [rax]
2:
  xor r13d, r13d
3:                                # pairs of mask and value
  mov rax, [r12]
  add r12, 8
  test rax, rax
  je errand
  mov r8, [r12]
  add r12, 8
  mov r10, rax
  and r10, rdx
  cmp r10, r8
  sete r10b
  and rax, rcx
  cmp rax, r8
  sete al
  or al, r10b
  or r13b, al
  jmp 3b
errand:                           # not with an option of this kind
  lea rdx, [rsp + 16]             # argv[1]
1:
  mov rcx, [rdx]
  add rdx, 8
  test rcx, rcx
  je 3f
  mov rcx, [rcx]
  mov r8, r12
2:                                # pairs of mask and value
  mov rax, [r8]
  test rax, rax
  je 1b
  and rax, rcx
  cmp rax, [r8 + 8]
  lea r8, [r8 + 16]
  jne 2b
  xor r13d, r13d
  jmp 1b
3:                                # behind the pairs
  mov rax, [r12]
  add r12, 8
  test rax, rax
  je single
  add r12, 8
  jmp 3b
single:                           # more settings, if it is not
  mov rax, [r12]
  add r12, 8
  test rax, rax
  je variables
  test r13d, r13d
  jne single
  stosq
  jmp single
variables:
  movabs r11, 0x2020202020202020
variable:
  lodsq
  test rax, rax
  je auxiliary
  mov rdx, [rax]
  or rdx, r11
  mov rcx, r12
prefix:                           # pairs of mask and value
  mov r8, [rcx]
  test r8, r8
  je keep
  and r8, rdx
  cmp r8, [rcx + 8]
  je variable
  add rcx, 16
  jmp prefix
keep:
  stosq
  jmp variable
auxiliary:
  stosq                           # NULL
1:
  lodsq
  mov rcx, rax
  stosq
  lodsq
  stosq
  test rcx, rcx
  jne 1b
  mov rsp, r9
  xor edi, edi                    # RTLD_DEFAULT
  mov rsi, [rip + data + 40]
  mov rax, [rip + data + 32]
  call [rax]                      # dlsym
  test rax, rax
  je 1f
  mov edi, -8                     # M_ARENA_MAX
  mov esi, 1
  call rax                        # mallopt
1:
  test r13d, r13d                 # is it a daemon, and the leader of its session?
  je 6f
  mov r12, [rip + data]
  mov r12, [r12]                  # environ
1:
  mov rsi, [r12]
  add r12, 8
  test rsi, rsi
  je 6f
  lea rcx, [rip + data + 200]
2:                                # pairs of mask and value, for 21 bytes
  mov rax, [rsi]
  and rax, [rcx]
  cmp rax, [rcx + 8]
  jne 1b
  add rsi, 8
  add rcx, 16
  cmp qword ptr [rcx], 0
  jne 2b
  sub rsi, 3
  xor r14d, r14d
3:                                # a number
  movzx eax, byte ptr [rsi]
  inc rsi
  test eax, eax
  je 4f
  sub eax, '0'
  cmp eax, 9
  ja 6f
  imul r14d, r14d, 10
  add r14d, eax
  jmp 3b
4:
  mov eax, 110                    # getppid
  syscall
  cmp eax, r14d
  jne 6f                          # set by someone else, or long ago
  mov rsi, [rip + data + 184]
  call symbol
  test rax, rax
  je 6f
  call rax                        # fork, the C library's, which knows its thread's number afterwards
  test eax, eax
  js 6f                           # the program tries it in its own way, and reports the failure
  je 5f
  xor edi, edi
  mov eax, 231                    # exit_group
  syscall
5:
  mov rax, [rip + data + 192]
  mov [r12 - 8], rax              # in the environment
6:
  mov eax, 79                     # getcwd, into what is free below
  lea rdi, [rsp - 4224]
  mov esi, 4096
  syscall
  test rax, rax
  jns 1f
  mov rax, [rip + data + 48]
  lea rcx, [rip + root]
  mov [rax], rcx                  # the slot of getcwd
1:
  mov rax, [rip + data + 256]
  lea rcx, [rip + limits]
  mov [rax], rcx                  # the slot of getrlimit
  cmp rbp, 0x100000
  jb 2f                           # a stack of our own
  test r13d, r13d
  je 2f                           # no daemon
  mov eax, 2                      # open, for reading
  mov rdi, [rip + data + 64]
  xor esi, esi
  syscall
  test rax, rax
  js 2f
  mov rdi, rax
  mov eax, 3                      # close
  syscall
  xor edi, edi
  mov esi, 3                      # RLIMIT_STACK
  xor edx, edx
  lea r10, [rsp - 144]
  mov eax, 302                    # prlimit64, which the C library's own needs as well
  syscall
  test eax, eax
  je 3f
2:
  mov rax, [rip + data + 56]
  lea rcx, [rip + stack]
  mov [rax], rcx                  # the slot of pthread_getattr_np
3:
  mov rax, [rip + data + 96]
  lea rcx, [rip + map]
  mov [rax], rcx                  # the slot of mmap
  mov rax, [rip + data + 128]
  lea rcx, [rip + thread]
  mov [rax], rcx                  # the slot of pthread_create
  mov rax, [rip + data + 280]
  lea rcx, [rip + action]
  mov [rax], rcx                  # the slot of sigaction
  mov rdx, rbx
  jmp [rip + data + 8]

root:                             # getcwd() where there is no such directory any more
  mov word ptr [rdi], 0x2f        # "/"
  mov rax, rdi
  ret

stack:                            # pthread_getattr_np() without /proc/self/maps or prlimit64, or on a stack of our own
  push rbx
  push r12
  sub rsp, 24
  mov rbx, rsi
  mov r12, rdi
  mov eax, 39                     # getpid
  syscall
  mov r8d, eax
  mov eax, 186                    # gettid
  syscall
  cmp eax, r8d
  je 1f
  mov rsi, [rip + data + 72]
  call symbol
  mov rdi, r12
  mov rsi, rbx
  call rax                        # the C library's own: good for all threads but the first
  jmp 2f
1:
  mov rsi, [rip + data + 80]
  call symbol
  mov rdi, rbx
  call rax                        # pthread_attr_init
  mov rsi, [rip + data + 88]
  call symbol
  mov r8, rax
  mov eax, 97                     # getrlimit
  mov edi, 3                      # RLIMIT_STACK
  mov rsi, rsp
  mov qword ptr [rsp], -1         # if a filter refuses it
  syscall
  mov rdx, [rsp]
  mov ecx, 0x800000               # 8 MiB at most
  cmp rdx, rcx
  cmova rdx, rcx
  mov ecx, 0x100000
  cmp rdx, rcx
  cmovb rdx, rcx                  # our own
  and rdx, -4096
  mov rsi, [rip + data]
  mov rsi, [rsi]                  # environ, above which no frame is
  or rsi, 4095
  inc rsi
  sub rsi, rdx
  mov rdi, rbx
  call r8                         # pthread_attr_setstack
2:
  add rsp, 24
  pop r12
  pop rbx
  ret

limits:                           # getrlimit(): at least our own stack, from which the engine computes its end
  mov eax, 97
  syscall
  test eax, eax
  je 1f
  or eax, -1
  cmp edi, 3                      # RLIMIT_STACK: the engine gives up if a filter refuses that
  jne 2f
  mov qword ptr [rsi], 0x800000
  mov qword ptr [rsi + 8], -1
  xor eax, eax
1:
  cmp edi, 3
  jne 2f
  mov ecx, 0x100000
  cmp [rsi], rcx
  jae 2f
  mov [rsi], rcx
2:
  ret

action:                           # sigaction(), until the crash handler's signals, the first of all, are through
  test rsi, rsi
  je 1f
  cmp dword ptr [rsi + 136], 0    # the sign is SA_RESETHAND, which only the crash handler has
  js 2f
1:
  push rdi
  push rsi
  push rdx
  mov rsi, [rip + data + 288]
  call symbol
  mov rdx, [rip + data + 280]
  mov [rdx], rax                  # the slot: from now on, the C library's own
  pop rdx
  pop rsi
  pop rdi
  jmp rax
2:
  xor eax, eax
  ret

map:                              # mmap()
  mov r10, rcx
  mov eax, 9
  syscall
  cmp rax, -4096
  ja 2f
  cmp rsi, [rip + data + 112]     # the arena's length
  jne 1f
  test edx, edx                   # PROT_NONE
  jne 1f
  push rax
  mov rdi, rax
  mov rsi, [rip + data + 120]
  mov edx, 3                      # PROT_READ | PROT_WRITE
  mov eax, 10                     # mprotect; if it fails, the allocator manages by itself
  syscall
  pop rax
1:
  ret
2:                                # the C library's own, which sets errno
  push rdi
  push rsi
  push rdx
  push r10
  push r8
  push r9
  sub rsp, 8
  mov rsi, [rip + data + 104]
  call symbol
  add rsp, 8
  pop r9
  pop r8
  pop rcx
  pop rdx
  pop rsi
  pop rdi
  jmp rax

thread:                           # pthread_create()
  push rbx
  push rbp
  push r12
  push r13
  push r14
  sub rsp, 16
  mov rbx, rdi
  mov r12, rsi
  mov r13, rdx
  mov r14, rcx
  mov ebp, 40                     # for 2 s
1:
  mov rsi, [rip + data + 136]
  call symbol
  mov rdi, rbx
  mov rsi, r12
  mov rdx, r13
  mov rcx, r14
  call rax                        # the C library's own
  mov [rsp + 8], eax
  test eax, eax
  je 2f
  test r12, r12
  je 2f
  mov rsi, [rip + data + 144]
  call symbol
  mov rdi, r12
  mov rsi, rsp
  call rax                        # pthread_attr_getstacksize
  mov eax, [rsp + 8]
  mov rcx, [rip + data + 176]
  cmp [rsp], rcx
  jne 2f                          # not the engine's: the caller handles the failure
  cmp eax, 11                     # EAGAIN
  jne 3f
  dec ebp
  jne 4f
  mov eax, 157                    # prctl
  mov edi, 3                      # PR_GET_DUMPABLE
  syscall
  test eax, eax
  jne 5f
  inc ebp                         # a daemon that has started waits until a thread can be started
4:
  mov qword ptr [rsp], 0
  mov qword ptr [rsp + 8], 50000000
  mov rdi, rsp
  xor esi, esi
  mov eax, 35                     # nanosleep, 50 ms
  syscall
  jmp 1b
2:
  add rsp, 16
  pop r14
  pop r13
  pop r12
  pop rbp
  pop rbx
  ret
3:                                # for another reason
  lea r13, [rip + data + 264]
  jmp 6f
5:
  lea r13, [rip + data + 160]
6:
  mov rsi, [rip + data + 152]
  call symbol
  mov rsi, [rax]                  # program_invocation_name
  mov r14d, 1
  jmp refuse_as

symbol:                           # the function or variable named at rsi
  xor edi, edi
  mov rax, [rip + data + 32]
  jmp [rax]
.balign 16, 0x90
data:
