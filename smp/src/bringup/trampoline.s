# From real mode to long mode, for a core that has just been started. Copied to a page below 1 MiB and
# position independent: code in real mode reaches its data relative to CS, in long mode relative to RIP. The
# data at its head is laid out as `Parameters` in trampoline.rs says. AT&T syntax.

.section .rodata.smp_trampoline, "a"
.balign 16
.global smp_trampoline
.global smp_trampoline_end
.code16
smp_trampoline:
    jmp 1f
    .balign 16
    .skip 136                       # the parameters, at offset 16

1:  cli
    cld
    movw %cs, %ax
    movw %ax, %ds
    movl $1, 16                     # stage: in real mode
    lgdtl 120
    movl 88, %eax                   # of CR4 only what paging needs
    movl %eax, %cr4
    movl 24, %eax
    movl %eax, %cr3
    movl $0xc0000080, %ecx          # EFER, with long mode enabled
    movl 48, %eax
    movl 52, %edx
    wrmsr
    movl 32, %eax                   # CR0, with paging: long mode is active
    movl %eax, %cr0
    ljmpl *80                       # and a 64-bit code segment

.code64
.global smp_trampoline_long
smp_trampoline_long:
    movl $16, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    xorl %eax, %eax
    movl %eax, %fs
    movl %eax, %gs
    leaq smp_trampoline(%rip), %rsi
    movq 40(%rsi), %rax             # all of CR4
    movq %rax, %cr4

    # Is it this core that the parameters are for? A core that answers long after it was given up must not
    # run on another's stack.
    xorl %eax, %eax
    cpuid
    cmpl $11, %eax
    jb 2f
    movl $11, %eax
    xorl %ecx, %ecx
    cpuid
    testl %ebx, %ebx
    jnz 3f
2:  movl $1, %eax
    cpuid
    movl %ebx, %edx
    shrl $24, %edx
3:  cmpl %edx, 20(%rsi)
    jne 4f

    movl $2, 16(%rsi)               # stage: in long mode
    movq 56(%rsi), %rsp
    movq 72(%rsi), %rdi
    movq 64(%rsi), %rax
    movq 104(%rsi), %rdx
    movq 112(%rsi), %rcx
    jmpq *%rcx                      # to the kernel's text, where the landing is

4:  movl $3, 16(%rsi)               # stage: the wrong core
5:  hlt
    jmp 5b
smp_trampoline_end:

# Where the core lands in the kernel's text, which both page tables map: the trampoline goes out of sight.
.section .text.smp_landing, "ax"
.global smp_landing
smp_landing:
    movq %rdx, %cr3
    xorl %ebp, %ebp                 # the last frame of a backtrace
    pushq $0
    jmpq *%rax
