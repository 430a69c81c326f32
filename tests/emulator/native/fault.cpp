// Accesses to memory that is not there: the page fault ends the kernel, not the process.
#include "emulator.h"
#include <csetjmp>
#include <csignal>
#include <sys/mman.h>
#include <ucontext.h>

namespace emulator {

int sticky = 0;

static thread_local bool running = false;
static thread_local sigjmp_buf jump;
static thread_local const char *faultText;
static thread_local u64 faultAddress;
static struct sigaction before[2];

static void onFault(int signal, siginfo_t *info, void *context) {
  if (running) {
    running = false;
    faultAddress = (u64)info->si_addr;
#if defined(__x86_64__)
    // A general protection fault has no address: a vector access that is not aligned, or an address that cannot be.
    const auto &registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    faultText = registers[REG_TRAPNO] == 13 ? "misuses" : registers[REG_ERR] & 2 ? "writes" : "reads";
#else
    faultText = "accesses";
#endif
    siglongjmp(jump, 1);
  }
  // Not ours: the engine uses faults too.
  const struct sigaction &old = before[signal == SIGBUS];
  if (old.sa_flags & SA_SIGINFO && old.sa_sigaction != nullptr) return old.sa_sigaction(signal, info, context);
  if (old.sa_handler != SIG_DFL && old.sa_handler != SIG_IGN) return old.sa_handler(signal);
  ::signal(signal, SIG_DFL);
  raise(signal);
}

int guarded(const char *what, const std::function<int()> &body) {
  if (running) return body();
  struct sigaction action = {};
  action.sa_sigaction = &onFault;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  sigemptyset(&action.sa_mask);
  sigaction(SIGSEGV, &action, &before[0]);
  sigaction(SIGBUS, &action, &before[1]);
  volatile int result = 0;
  if (sigsetjmp(jump, 1) == 0) {
    running = true;
    result = body();
    running = false;
  } else {
    result = ILLEGAL_ADDRESS;
    if (strcmp(faultText, "misuses") == 0) finding("%s uses an address that is not aligned, or none", what);
    else finding("%s %s %s", what, faultText, describe(faultAddress).c_str());
  }
  sigaction(SIGSEGV, &before[0], nullptr);
  sigaction(SIGBUS, &before[1], nullptr);
  return result;
}

char *threadStack(unsigned thread) {
  static char *stacks = nullptr;
  if (stacks == nullptr) {
    stacks = (char *)mmap(nullptr, stackBytes * 1024, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  }
  return stacks + stackBytes * thread;
}

} // namespace emulator
