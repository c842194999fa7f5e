/* Hides features of the processor from a program: CPUID faults, and this library answers it without them.

   Preloaded (LD_PRELOAD) by benchmarks/on_processor.py, which compiles it with -DHIDDEN={leaf, subleaf, register, bits},...
   and -DEMPTY={leaf},...: the bits that read as 0, and the leaves that do. Linux on x86-64 makes CPUID fault for a thread by
   arch_prctl(ARCH_SET_CPUID, 0); threads and forks inherit that, execve ends it, and then the constructor does it again.
   Handlers of SIGSEGV that the program sets are kept, and called for every other fault. XGETBV cannot be answered so: a
   program that asks it alone, and not CPUID, sees the whole processor. */

#define _GNU_SOURCE
#include <asm/prctl.h>
#include <cpuid.h>
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

struct bits { unsigned leaf, subleaf, number, mask; };
static const struct bits hidden[] = {HIDDEN};
static const unsigned empty[] = {EMPTY};

static int (*real_sigaction)(int, const struct sigaction *, struct sigaction *);
static struct sigaction own; /* what the program wants done at SIGSEGV */

/* A system call that leaves errno as it is: a handler may run between a call and the reading of its error. */
static long set_cpuid(unsigned long on) {
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "0"(SYS_arch_prctl), "D"(ARCH_SET_CPUID), "S"(on) : "rcx", "r11", "memory");
    return result;
}

static void answer(greg_t *registers) {
    unsigned leaf = registers[REG_RAX], subleaf = registers[REG_RCX], result[4];
    set_cpuid(1);
    __cpuid_count(leaf, subleaf, result[0], result[1], result[2], result[3]);
    set_cpuid(0);
    for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++)
        if (hidden[i].leaf == leaf && hidden[i].subleaf == subleaf)
            result[hidden[i].number] &= ~hidden[i].mask;
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++)
        if (empty[i] == leaf)
            result[0] = result[1] = result[2] = result[3] = 0;
    registers[REG_RAX] = result[0];
    registers[REG_RBX] = result[1];
    registers[REG_RCX] = result[2];
    registers[REG_RDX] = result[3];
    registers[REG_RIP] += 2;
}

static void on_fault(int number, siginfo_t *info, void *context) {
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    /* CPUID's fault is one of general protection, which the kernel reports without an address. A jump to nowhere has one. */
    if (info->si_code == SI_KERNEL) {
        const unsigned char *instruction = (const unsigned char *)registers[REG_RIP];
        if (instruction[0] == 0x0f && instruction[1] == 0xa2) {
            answer(registers);
            return;
        }
    }
    struct sigaction action = own;
    if (action.sa_flags & SA_SIGINFO) {
        action.sa_sigaction(number, info, context);
    } else if (action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN) {
        action.sa_handler(number);
    } else if (action.sa_handler == SIG_DFL || info->si_code > 0) {
        struct sigaction default_action = {.sa_handler = SIG_DFL};
        real_sigaction(number, &default_action, NULL);
        if (info->si_code <= 0) /* sent by a program; a true fault comes again by itself */
            raise(number);
    }
}

int sigaction(int number, const struct sigaction *action, struct sigaction *before) {
    if (!real_sigaction)
        real_sigaction = (int (*)(int, const struct sigaction *, struct sigaction *))dlsym(RTLD_NEXT, "sigaction");
    if (number != SIGSEGV)
        return real_sigaction(number, action, before);
    struct sigaction previous = own;
    if (action)
        own = *action;
    if (before)
        *before = previous;
    return 0;
}

sighandler_t signal(int number, sighandler_t handler) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART}, before;
    return sigaction(number, &action, &before) ? SIG_ERR : before.sa_handler;
}

/* A blocked SIGSEGV would kill the program at its next CPUID. */
static int unblocked(int (*real)(int, const sigset_t *, sigset_t *), int how, const sigset_t *set, sigset_t *before) {
    sigset_t open;
    if (set && how != SIG_UNBLOCK) {
        open = *set;
        sigdelset(&open, SIGSEGV);
        set = &open;
    }
    return real(how, set, before);
}

int sigprocmask(int how, const sigset_t *set, sigset_t *before) {
    return unblocked((int (*)(int, const sigset_t *, sigset_t *))dlsym(RTLD_NEXT, "sigprocmask"), how, set, before);
}

int pthread_sigmask(int how, const sigset_t *set, sigset_t *before) {
    return unblocked((int (*)(int, const sigset_t *, sigset_t *))dlsym(RTLD_NEXT, "pthread_sigmask"), how, set, before);
}

__attribute__((constructor)) static void hide(void) {
    struct sigaction handler = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    sigaction(SIGSEGV, NULL, NULL); /* finds the C library's own */
    real_sigaction(SIGSEGV, &handler, NULL);
    if (set_cpuid(0)) {
        fputs("cpuid.c: this processor or its kernel cannot make CPUID fault (cpuid_fault in /proc/cpuinfo)\n", stderr);
        _exit(125);
    }
}
