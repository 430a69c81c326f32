// What device.h and the driver share: a kernel as its library hands it out.
#pragma once
#include <stddef.h>
#include <stdint.h>

struct dim3 {
  unsigned x, y, z;
};

namespace emulator {

// What a launch asks for.
struct Launch {
  dim3 grid, block;
  char *dynamicShared;
  // Gives the stack of a thread; libraries share them.
  char *(*stack)(unsigned thread);
};

struct Entry {
  int (*run)(void *const *parameters, const Launch *launch);
  unsigned count;
  const unsigned short *sizes;
  char *sharedBegin, *sharedEnd;
};

// Not a power of two, or the stacks of all threads would fall on the same cache lines.
constexpr size_t stackBytes = 65536 + 832;

} // namespace emulator
