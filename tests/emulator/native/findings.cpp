// Settings, and what is said about faults of the program under test.
#include "emulator.h"
#include <fcntl.h>
#include <unistd.h>

namespace emulator {

u64 setting(const char *name, u64 otherwise) {
  const char *text = getenv(name);
  return text == nullptr || *text == 0 ? otherwise : strtoull(text, nullptr, 10);
}

bool delays = setting("PTA_EMULATOR_DELAY", 0) != 0;
static const char *collectFile() {
  const char *text = getenv("PTA_EMULATOR_COLLECT");
  return text == nullptr || *text == 0 ? nullptr : text;
}
const char *collects = collectFile();

static int findings = 0;

std::recursive_mutex &mutex() {
  // Never destroyed: other threads may still call while the process ends.
  static std::recursive_mutex *made = new std::recursive_mutex;
  return *made;
}

void finding(const char *format, ...) {
  char line[1500] = "emulator: ";
  va_list list;
  va_start(list, format);
  vsnprintf(line + 10, sizeof line - 12, format, list);
  va_end(list);
  strcat(line, "\n");
  ++findings;
  if (write(2, line, strlen(line)) < 0) return;
  const char *report = getenv("PTA_EMULATOR_REPORT");
  if (report == nullptr || *report == 0) return;
  const int file = open(report, O_WRONLY | O_CREAT | O_APPEND, 0644);
  if (file < 0) return;
  if (write(file, line, strlen(line)) < 0) perror("emulator");
  close(file);
}

} // namespace emulator

API emulatorFindings() { return emulator::findings; }
