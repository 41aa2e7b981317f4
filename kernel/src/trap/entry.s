# Where the processor enters for exceptions and interrupts: 256 entries, 16
# bytes apart, that leave vector and error code on the stack, and one common
# path that saves all general registers as a `trap::Frame`.
#
# The stack is 16-byte aligned when the processor starts to push (Intel SDM,
# volume 3, 6.14.2); six words of its own, or five and a zero, the vector and
# fifteen registers keep it so. GS is not touched.

.section .text.trap_entries, "ax", @progbits
.balign 16
.global trap_entries
.type trap_entries, @function
trap_entries:
.set vector, 0
.rept 256
    .balign 16
    # These push an error code: 8, 10 to 14, 17, 21, 29, 30 (volume 3, 6.15).
    .if (0x60227d00 >> vector) & (vector < 32) & 1
    .else
    .byte 0x6a, 0               # push 0
    .endif
    .byte 0x68                  # push vector
    .long vector
    jmp trap_common
    .set vector, vector + 1
.endr
.size trap_entries, . - trap_entries

.section .text.trap_common, "ax", @progbits
.type trap_common, @function
trap_common:
    push rax
    push rbx
    push rcx
    push rdx
    push rsi
    push rdi
    push rbp
    push r8
    push r9
    push r10
    push r11
    push r12
    push r13
    push r14
    push r15
    cld
    mov rdi, rsp
    cmp qword ptr [rdi + 15 * 8], 32
    jb 1f
    # An interrupt, on the core's interrupt stack. It may end in a switch to
    # another strand, so it moves to the interrupted stack, if that has room:
    # there, as if it had come there, lies its frame of 22 words.
    mov rax, [rdi + 20 * 8]
    # Its pointer may lie below its end: a frame that is not touched yet. So the
    # end goes up, and the pointer not down, where it would wrap.
    mov rcx, gs:[{STACK_BOTTOM}]
    add rcx, {ROOM}
    cmp rax, rcx
    jb 2f
    and rax, -16
    sub rax, 22 * 8
    mov rsi, rdi
    mov rdi, rax
    mov ecx, 22
    rep movsq
    mov rsp, rax
    mov rdi, rax
1:
    # A frame as a call would have made it, so that backtraces go on below.
    push qword ptr [rdi + 17 * 8]
    push rbp
    mov rbp, rsp
    call trap_dispatch
    add rsp, 16
    jmp trap_return
2:
    push qword ptr [rdi + 17 * 8]
    push rbp
    mov rbp, rsp
    call trap_dispatch_apart
    add rsp, 16

# Leaves by the `trap::Frame` that RSP points to.
.global trap_return
trap_return:
    pop r15
    pop r14
    pop r13
    pop r12
    pop r11
    pop r10
    pop r9
    pop r8
    pop rbp
    pop rdi
    pop rsi
    pop rdx
    pop rcx
    pop rbx
    pop rax
    add rsp, 16                 # vector and error code
    iretq
.size trap_common, . - trap_common
