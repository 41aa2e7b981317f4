# From the loader to Rust: PVH enters here in 32-bit protected mode, without
# paging, interrupts off, EBX = physical address of the start info (Xen's
# docs/misc/pvh.pandoc). We leave in 64-bit mode in the higher half, on the
# boot stack, with the start info's address as first argument.

# Adding this to a linked address gives the physical one, modulo 2^64.
.set PHYSICAL, 0x80000000

.set PRESENT_WRITABLE, 0x003
.set LARGE_PAGE, 0x083          # present, writable, 2 MiB

# ---- What tells the loader that we speak PVH: XEN_ELFNOTE_PHYS32_ENTRY ------
.section .note.Xen, "a", @note
.balign 4
    .long 4                     # size of the name
    .long 8                     # size of the entry's address
    .long 18                    # XEN_ELFNOTE_PHYS32_ENTRY
    .asciz "Xen"
    .quad pvh_start + PHYSICAL

# ---- The early page tables, complete as linked ------------------------------
# One table of the first 4 GiB serves twice: identity (until the stub has left
# low addresses, and for starting the other cores) and as the direct map. The
# kernel's own window is apart, with 4 KiB pages where the boot stack's guard
# page must be missing.
.section .data.boot_tables, "aw", @progbits
.balign 4096
.global boot_pml4
boot_pml4:
    .quad boot_pdpt_low + PHYSICAL + PRESENT_WRITABLE       # identity
    .fill 255, 8, 0
    .quad boot_pdpt_low + PHYSICAL + PRESENT_WRITABLE       # direct map
    .fill 254, 8, 0
    .quad boot_pdpt_kernel + PHYSICAL + PRESENT_WRITABLE    # top 512 GiB

boot_pdpt_low:
    .quad boot_pd_low + PHYSICAL + PRESENT_WRITABLE
    .quad boot_pd_low + PHYSICAL + PRESENT_WRITABLE + 0x1000
    .quad boot_pd_low + PHYSICAL + PRESENT_WRITABLE + 0x2000
    .quad boot_pd_low + PHYSICAL + PRESENT_WRITABLE + 0x3000
    .fill 508, 8, 0

boot_pdpt_kernel:
    .fill 510, 8, 0
    .quad boot_pd_kernel + PHYSICAL + PRESENT_WRITABLE      # -2 GiB
    .quad 0

boot_pd_low:
.set page, 0
.rept 4 * 512
    .quad page + LARGE_PAGE
    .set page, page + 0x200000
.endr

# The image's 256 MiB: physical 2 MiB and up as large pages.
boot_pd_kernel:
    .quad boot_pt_kernel + PHYSICAL + PRESENT_WRITABLE
.set page, 0x200000
.rept 127
    .quad page + LARGE_PAGE
    .set page, page + 0x200000
.endr
    .fill 384, 8, 0

# Physical 0 to 2 MiB: nothing below 1 MiB, then the stacks with a hole below
# each, then the rest of the image's first part.
.macro guarded_pages size
    .quad 0
    .set page, page + 0x1000
    .rept \size / 0x1000
        .quad page + PRESENT_WRITABLE
        .set page, page + 0x1000
    .endr
.endm

boot_pt_kernel:
    .fill 256, 8, 0
.set page, 0x100000
    guarded_pages {BOOT_STACK_SIZE}
.rept {TRAP_STACKS}
    guarded_pages {TRAP_STACK_SIZE}
.endr
.rept 512 - page / 0x1000
    .quad page + PRESENT_WRITABLE
    .set page, page + 0x1000
.endr

# ---- The boot core's stacks, each above a guard page (see layout.rs) --------
.section .boot_stacks, "aw", @nobits
    .skip 0x1000
    .skip {BOOT_STACK_SIZE}
boot_stack_end:
    .skip ({TRAP_STACK_SIZE} + 0x1000) * {TRAP_STACKS}

# ---- The stub ---------------------------------------------------------------
.section .rodata.boot_gdt, "a", @progbits
.balign 8
boot_gdt:
    .quad 0
    .quad 0x00af9b000000ffff    # 64-bit code
boot_gdt_end:
.global boot_gdt_pointer
boot_gdt_pointer:
    .word boot_gdt_end - boot_gdt - 1
    .long boot_gdt + PHYSICAL

.section .text.boot, "ax", @progbits
.code32
.global pvh_start
.type pvh_start, @function
pvh_start:
    cli
    cld
    mov edi, ebx
    mov esp, offset boot_stack_end + PHYSICAL

    # Extended features: no 64-bit mode, no Whorl.
    mov eax, 0x80000000
    cpuid
    cmp eax, 0x80000001
    jb 3f
    mov eax, 0x80000001
    cpuid
    bt edx, 29
    jnc 3f

    # EFER: long mode; no-execute and SYSCALL where the processor has them.
    mov esi, 1 << 8             # LME
    bt edx, 20
    jnc 1f
    or esi, 1 << 11             # NXE
1:  bt edx, 11
    jnc 2f
    or esi, 1                   # SCE
2:
    mov eax, cr4
    or eax, 1 << 5              # PAE
    mov cr4, eax
    mov eax, offset boot_pml4 + PHYSICAL
    mov cr3, eax
    mov ecx, 0xc0000080
    rdmsr
    or eax, esi
    wrmsr
    mov eax, cr0
    or eax, 0x80010001          # PG, WP, PE
    mov cr0, eax

    lgdt [boot_gdt_pointer + PHYSICAL]
    push 8
    mov eax, offset boot_long_mode + PHYSICAL
    push eax
    retf

# Too old a processor: say "NO 64-BIT CPU" on COM1, as well as one can, and stop.
3:  mov esi, offset boot_too_old + PHYSICAL
    mov edx, 0x3f8
4:  lodsb
    test al, al
    jz 5f
    out dx, al
    jmp 4b
5:  hlt
    jmp 5b
.size pvh_start, . - pvh_start

.section .rodata.boot_message, "a", @progbits
boot_too_old:
    .asciz "Whorl needs a 64-bit processor (QEMU: -cpu max)\r\n"

.section .text.boot, "ax", @progbits
.code64
.type boot_long_mode, @function
boot_long_mode:
    xor eax, eax
    mov ds, eax
    mov es, eax
    mov ss, eax
    movabs rax, offset boot_higher_half
    jmp rax
boot_higher_half:
    mov rsp, offset boot_stack_end
    mov edi, edi                # the upper half is undefined after the switch
    xor ebp, ebp                # the end of every backtrace
    call kernel_main
    ud2
.size boot_long_mode, . - boot_long_mode
