// The code of entry.ts for arm64; entry_x64.s says what it does. x0 is for exit.
  mov x19, x0
  mov x0, #30                     // SIGPWR
  sub x1, sp, #192
  stp xzr, xzr, [x1]
  stp xzr, xzr, [x1, #16]
  mov x2, #0
  mov x3, #8
  mov x8, #134                    // rt_sigaction
  svc #0
  adr x20, data
  add x21, x20, #296
  mov x24, #1
limit:
  ldr x1, [x21]
  cbz x1, 1f
  mov x0, #0
  mov x2, #0
  sub x3, sp, #144
  mov x8, #261                    // prlimit64
  mov x26, #-1
  svc #0
  tbnz x0, #63, 2f
  ldur x1, [sp, #-144]
  mov x26, x1
  ldr x2, [x21, #8]
  add x23, x21, #16
  cmp x1, x2
  b.lo refuse
  ldr x9, [x21]
  cmp x9, #7                      // RLIMIT_NOFILE
  b.ne 2f
  cmp x1, #256
  b.hi 2f
  mov x25, x1
  mov x22, #0
3:
  sub x25, x25, #1
  cmp x25, #3
  b.lo 4f
  mov x0, x25
  mov x1, #1                      // F_GETFD
  mov x8, #25                     // fcntl
  svc #0
  add x22, x22, x0, lsr #63
  b 3b
4:
  cmp x22, #3
  b.lo refuse
2:
  add x21, x21, #32
  b limit
1:
  add x21, x21, #8
  add x23, x20, #16
  mov x24, #5                     // EMUNGE_NO_MEMORY
room:
  ldr x1, [x21], #8
  cbz x1, choice
  ldr x2, [x21], #8
  mov x0, #0
  mov x3, #0x4022
  mov x4, #-1
  mov x5, #0
  mov x8, #222                    // mmap
  mov x22, x1
  svc #0
  tbnz x0, #63, refuse
  mov x1, x22
  mov x8, #215                    // munmap
  svc #0
  b room
choice:
  ldp x22, x25, [x21], #16
  mov x0, #0
  mov x1, x22
  mov x2, #0                      // PROT_NONE
  mov x3, #0x4022
  mov x4, #-1
  mov x5, #0
  mov x8, #222                    // mmap
  svc #0
  ldr x9, [x21], #8
  tbnz x0, #63, 1f
  mov x1, x22
  mov x8, #215                    // munmap
  svc #0
  b copy
1:
  mov x25, x9
  b copy

refuse:
  ldr x1, [sp, #8]
refuse_as:
  mov x2, x1
1:
  ldrb w3, [x2], #1
  cmp w3, #'/'
  csel x1, x2, x1, eq
  cbnz w3, 1b
  sub x2, x2, #1
  sub x2, x2, x1
  mov x0, #2
  mov x8, #64                     // write
  svc #0
  ldp x1, x2, [x23]
  mov x0, #2
  svc #0
  mov x0, x24
  mov x8, #94                     // exit_group
  svc #0

copy:
  ldr x9, [sp]
  mov x10, sp
  add x9, x9, #2
  add x11, x10, x9, lsl #3
1:
  ldr x12, [x11], #8
  cbnz x12, 1b
2:
  ldr x12, [x11], #16
  cbnz x12, 2b
  sub x11, x11, x10
  sub x12, x10, x11
  cmp x26, #256, lsl #12          // 1 MiB
  b.hs 3f
  mov x0, #0
  add x1, x11, #288, lsl #12
  mov x2, #3                      // PROT_READ | PROT_WRITE
  mov x8, #222                    // mmap; x3, x4 and x5 are as above
  svc #0
  tbnz x0, #63, refuse
  add x12, x0, #288, lsl #12
  mov x1, #0x10000
  mov x2, #0                      // PROT_NONE
  mov x8, #226                    // mprotect
  svc #0
3:
  sub x12, x12, #128
  and x12, x12, #-16
  mov x13, x12
3:
  ldr x14, [x10], #8
  str x14, [x12], #8
  subs x9, x9, #1
  b.ne 3b
  ldr x1, [x20]
  str x12, [x1]                   // environ
  str x25, [x12], #8
setting:
  ldr x14, [x21], #8
  cbz x14, daemons
  str x14, [x12], #8
  b setting
daemons:
  ldp x1, x4, [sp, #8]            // argv[0] and argv[1]
  mov x2, x1
1:
  ldrb w3, [x2], #1
  cmp w3, #'/'
  csel x1, x2, x1, eq
  cbnz w3, 1b
  ldr x2, [x1]
  cbz x4, 2f
  ldr x4, [x4]
2:
  mov x1, #0
3:
  ldr x3, [x21], #8
  cbz x3, errand
  ldr x5, [x21], #8
  and x6, x3, x2
  cmp x6, x5
  csinc x1, x1, xzr, ne           // 1 if they are equal
  and x6, x3, x4
  cmp x6, x5
  csinc x1, x1, xzr, ne
  b 3b
errand:
  add x2, sp, #16
1:
  ldr x3, [x2], #8
  cbz x3, 3f
  ldr x3, [x3]
  mov x4, x21
2:
  ldp x5, x6, [x4], #16
  cbz x5, 1b
  and x5, x5, x3
  cmp x5, x6
  b.ne 2b
  mov x1, #0
  b 1b
3:
  ldr x3, [x21], #8
  cbz x3, single
  add x21, x21, #8
  b 3b
single:
  ldr x14, [x21], #8
  cbz x14, variables
  cbnz x1, single
  str x14, [x12], #8
  b single
variables:
  mov x22, x1
  mov x16, #0x2020202020202020
variable:
  ldr x14, [x10], #8
  cbz x14, auxiliary
  ldr x17, [x14]
  orr x17, x17, x16
  mov x3, x21
prefix:
  ldp x4, x5, [x3], #16
  cbz x4, keep
  and x4, x4, x17
  cmp x4, x5
  b.eq variable
  b prefix
keep:
  str x14, [x12], #8
  b variable
auxiliary:
  str xzr, [x12], #8
1:
  ldp x4, x5, [x10], #16
  stp x4, x5, [x12], #16
  cbnz x4, 1b
  mov sp, x13
  mov x0, #0                      // RTLD_DEFAULT
  ldp x16, x1, [x20, #32]
  ldr x17, [x16]
  blr x17                         // dlsym; x16 is the slot, as its lazy binding wants it
  cbz x0, 1f
  mov x17, x0
  mov x0, #-8                     // M_ARENA_MAX
  mov x1, #1
  blr x17                         // mallopt
1:
  cbz x22, 6f
  ldr x21, [x20]
  ldr x21, [x21]                  // environ
1:
  ldr x1, [x21], #8
  cbz x1, 6f
  add x2, x20, #200
2:
  ldp x3, x4, [x2], #16
  cbz x3, 3f
  ldr x5, [x1], #8
  and x5, x5, x3
  cmp x5, x4
  b.ne 1b
  b 2b
3:
  sub x1, x1, #3
  mov w22, #0
  mov w3, #10
4:
  ldrb w2, [x1], #1
  cbz w2, 5f
  sub w2, w2, #'0'
  cmp w2, #9
  b.hi 6f
  madd w22, w22, w3, w2
  b 4b
5:
  mov x8, #173                    // getppid
  svc #0
  cmp w0, w22
  b.ne 6f
  ldr x1, [x20, #184]
  bl symbol
  cbz x0, 6f
  mov x17, x0
  blr x17                         // fork
  tbnz w0, #31, 6f
  cbz w0, 5f
  mov x0, #0
  mov x8, #94                     // exit_group
  svc #0
5:
  ldr x1, [x20, #192]
  stur x1, [x21, #-8]
6:
  sub x0, sp, #1, lsl #12
  sub x0, x0, #128
  mov x1, #4096
  mov x8, #17                     // getcwd
  svc #0
  tbz x0, #63, 1f
  ldr x1, [x20, #48]
  adr x2, root
  str x2, [x1]
1:
  ldr x1, [x20, #256]
  adr x2, limits
  str x2, [x1]
  cmp x26, #256, lsl #12
  b.lo 2f                         // a stack of our own
  cbz x22, 2f                     // no daemon
  mov x0, #-100                   // AT_FDCWD
  ldr x1, [x20, #64]
  mov x2, #0
  mov x8, #56                     // openat
  svc #0
  tbnz x0, #63, 2f
  mov x8, #57                     // close
  svc #0
  mov x0, #0
  mov x1, #3                      // RLIMIT_STACK
  mov x2, #0
  sub x3, sp, #144
  mov x8, #261                    // prlimit64
  svc #0
  cbz x0, 3f
2:
  ldr x1, [x20, #56]
  adr x2, stack
  str x2, [x1]
3:
  ldr x1, [x20, #96]
  adr x2, map
  str x2, [x1]
  ldr x1, [x20, #128]
  adr x2, thread
  str x2, [x1]
  ldr x1, [x20, #280]
  adr x2, action
  str x2, [x1]
  mov x0, x19
  ldr x17, [x20, #8]
  br x17

root:
  mov w1, #'/'
  strh w1, [x0]
  ret

stack:
  stp x29, x30, [sp, #-64]!
  stp x19, x20, [sp, #16]
  str x21, [sp, #32]
  mov x19, x1
  mov x21, x0
  adr x20, data
  mov x8, #172                    // getpid
  svc #0
  mov w1, w0
  mov x8, #178                    // gettid
  svc #0
  cmp w0, w1
  b.eq 1f
  ldr x1, [x20, #72]
  bl symbol
  mov x17, x0
  mov x0, x21
  mov x1, x19
  blr x17
  b 2f
1:
  ldr x1, [x20, #80]
  bl symbol
  mov x17, x0
  mov x0, x19
  blr x17                         // pthread_attr_init
  ldr x1, [x20, #88]
  bl symbol
  mov x17, x0
  mov x0, #3                      // RLIMIT_STACK
  mov x1, #-1
  str x1, [sp, #48]
  add x1, sp, #48
  mov x8, #163                    // getrlimit
  svc #0
  ldr x2, [sp, #48]
  mov x1, #0x800000
  cmp x2, x1
  csel x2, x1, x2, hi
  mov x1, #0x100000
  cmp x2, x1
  csel x2, x1, x2, lo             // our own
  and x2, x2, #-4096
  ldr x1, [x20]
  ldr x1, [x1]
  orr x1, x1, #4095
  add x1, x1, #1
  sub x1, x1, x2
  mov x0, x19
  blr x17                         // pthread_attr_setstack
2:
  ldr x21, [sp, #32]
  ldp x19, x20, [sp, #16]
  ldp x29, x30, [sp], #64
  ret

limits:
  mov w9, w0
  mov x3, x1
  mov x8, #163                    // getrlimit
  svc #0
  cbz x0, 1f
  mov x0, #-1
  cmp w9, #3                      // RLIMIT_STACK
  b.ne 2f
  mov x1, #0x800000
  mov x2, #-1
  stp x1, x2, [x3]
  mov x0, #0
1:
  cmp w9, #3
  b.ne 2f
  ldr x1, [x3]
  mov x2, #0x100000
  cmp x1, x2
  csel x1, x2, x1, lo
  str x1, [x3]
2:
  ret

action:
  cbz x1, 1f
  ldr w3, [x1, #136]
  tbnz w3, #31, 2f                // SA_RESETHAND
1:
  stp x29, x30, [sp, #-48]!
  stp x0, x1, [sp, #16]
  str x2, [sp, #32]
  adr x9, data
  ldr x1, [x9, #288]
  bl symbol
  mov x17, x0
  adr x9, data
  ldr x9, [x9, #280]
  str x17, [x9]
  ldp x0, x1, [sp, #16]
  ldr x2, [sp, #32]
  ldp x29, x30, [sp], #48
  br x17
2:
  mov x0, #0
  ret

map:
  mov x9, x0
  mov x8, #222                    // mmap
  svc #0
  cmn x0, #4095
  b.hi 2f
  adr x9, data
  ldp x10, x11, [x9, #112]
  cmp x1, x10
  b.ne 1f
  cbnz w2, 1f
  mov x9, x0
  mov x1, x11
  mov x2, #3                      // PROT_READ | PROT_WRITE
  mov x8, #226                    // mprotect
  svc #0
  mov x0, x9
1:
  ret
2:
  stp x29, x30, [sp, #-64]!
  stp x9, x1, [sp, #16]
  stp x2, x3, [sp, #32]
  stp x4, x5, [sp, #48]
  adr x9, data
  ldr x1, [x9, #104]
  bl symbol
  mov x17, x0
  ldp x0, x1, [sp, #16]
  ldp x2, x3, [sp, #32]
  ldp x4, x5, [sp, #48]
  ldp x29, x30, [sp], #64
  br x17

thread:
  stp x29, x30, [sp, #-80]!
  stp x19, x20, [sp, #16]
  stp x21, x22, [sp, #32]
  stp x23, x24, [sp, #48]
  mov x21, x0
  mov x22, x1
  mov x23, x2
  mov x24, x3
  adr x20, data
  mov x19, #40
1:
  ldr x1, [x20, #136]
  bl symbol
  mov x17, x0
  mov x0, x21
  mov x1, x22
  mov x2, x23
  mov x3, x24
  blr x17                         // the C library's own
  str w0, [sp, #72]
  cbz w0, 2f
  cbz x22, 2f
  ldr x1, [x20, #144]
  bl symbol
  mov x17, x0
  mov x0, x22
  add x1, sp, #64
  blr x17                         // pthread_attr_getstacksize
  ldr w0, [sp, #72]
  ldr x1, [sp, #64]
  ldr x2, [x20, #176]
  cmp x1, x2
  b.ne 2f
  cmp w0, #11                     // EAGAIN
  b.ne 3f
  subs x19, x19, #1
  b.ne 4f
  mov x0, #3                      // PR_GET_DUMPABLE
  mov x8, #167                    // prctl
  svc #0
  cbnz w0, 5f
  mov x19, #1
4:
  mov x1, #0xf080
  movk x1, #0x2fa, lsl #16        // 50,000,000 ns
  stp xzr, x1, [sp, #64]
  add x0, sp, #64
  mov x1, #0
  mov x8, #101                    // nanosleep
  svc #0
  b 1b
2:
  ldp x23, x24, [sp, #48]
  ldp x21, x22, [sp, #32]
  ldp x19, x20, [sp, #16]
  ldp x29, x30, [sp], #80
  ret
3:
  add x23, x20, #264
  b 6f
5:
  add x23, x20, #160
6:
  ldr x1, [x20, #152]
  bl symbol
  ldr x1, [x0]                    // program_invocation_name
  mov x24, #1
  b refuse_as

symbol:
  mov x0, #0
  adr x16, data
  ldr x16, [x16, #32]
  ldr x17, [x16]
  br x17
.balign 16
data:
