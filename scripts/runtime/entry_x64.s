# The code of entry.ts for x86-64, started as _start is: argc, argv, NULL, envp, NULL and auxv at rsp, rdx for exit.
# First it sees whether there is enough memory. Then it makes a copy of all that is at rsp, below it, with our
# settings first in envp and without the variables that are closed; the C library holds pointers to the old one.
.intel_syntax noprefix
  mov rbx, rdx
  lea r12, [rip + data + 48]
room:                             # pairs of length and protection
  mov rsi, [r12]
  add r12, 8
  test rsi, rsi
  je copy
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

refuse:
  mov rsi, [rsp + 8]              # argv[0], from its last slash on
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
  mov rsi, [rip + data + 16]
  mov rdx, [rip + data + 24]
  mov eax, 1
  syscall
  mov edi, 5                      # EMUNGE_NO_MEMORY
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
  lea rdi, [rsp - 128]            # room for as much, and for 16 settings
  add rdi, rsp
  sub rdi, rsi
  and rdi, -16
  mov r9, rdi                     # where rsp will be
  mov rsi, rsp
  add rcx, 2
  cld
  rep movsq                       # argc, argv, NULL
  mov rax, [rip + data]
  mov [rax], rdi                  # environ
setting:
  mov rax, [r12]
  add r12, 8
  test rax, rax
  je variables
  stosq
  jmp setting
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
  je start
  mov edi, -8                     # M_ARENA_MAX
  mov esi, 1
  call rax                        # mallopt
start:
  mov rdx, rbx
  jmp [rip + data + 8]
.balign 16, 0x90
data:
