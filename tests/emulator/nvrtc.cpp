// A stand-in for NVRTC: g++ compiles the text, with device.h before it, into a library; the "machine code" is the library's path. Libraries are kept by the hash of the
// text in the folder PTA_EMULATOR_CACHE. With PTA_EMULATOR_COLLECT=1 texts are only written down there, for warm.ts to compile many together.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <fstream>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

#define API extern "C" __attribute__((visibility("default")))

namespace {

struct Program {
  std::string source, log, image;
};

std::string read(const std::string &path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}
// Written beside and renamed: several processes share the folder.
void write(const std::string &path, const std::string &text) {
  const std::string beside = path + "." + std::to_string(getpid());
  std::ofstream(beside, std::ios::binary) << text;
  rename(beside.c_str(), path.c_str());
}
bool exists(const std::string &path) { return access(path.c_str(), R_OK) == 0; }

std::string digest(const std::string &text) {
  uint64_t a = 0xcbf29ce484222325u, b = 0x9ae16a3b2f90404fu;
  for (unsigned char c : text) {
    a = (a ^ c) * 0x100000001b3u;
    b = (b ^ (c + 0x9e)) * 0xc6a4a7935bd1e995u;
    b ^= b >> 29;
  }
  char out[40];
  snprintf(out, sizeof out, "%016lx%016lx", (long)a, (long)b);
  return out;
}

// The kernels as functions that can be launched: what follows the prelude decides whether threads wait for each other.
std::string launchable(std::string source) {
  static const std::string mark = "// pta prelude ends\n";
  const size_t end = source.find(mark);
  std::string own = end == std::string::npos ? source : source.substr(end + mark.size());
  const std::string head = end == std::string::npos ? "" : source.substr(0, end + mark.size());
  static const std::regex dynamic(R"(extern\s+__shared__\s+(?:__align__\(\d+\)\s+)?([\w: ]+?)\s+(\w+)\s*\[\s*\]\s*;)");
  own = std::regex_replace(own, dynamic, "$1 *$2 = ($1 *)emulator::dynamicShared;");
  const bool waits = own.find("__sync") != std::string::npos || own.find("__shfl") != std::string::npos || own.find("joinLanes") != std::string::npos ||
    own.find("__ballot") != std::string::npos || own.find("__any_sync") != std::string::npos || own.find("__all_sync") != std::string::npos;
  static const std::regex kernel(R"re(extern\s+"C"\s+__global__\s+void\s+(?:__launch_bounds__\s*\([^)]*\)\s*)?(\w+)\s*\()re");
  std::string tail;
  for (std::sregex_iterator i(own.begin(), own.end(), kernel), none; i != none; ++i)
    tail += "LAUNCHABLE(" + (*i)[1].str() + ", " + (waits ? "true" : "false") + ")\n";
  return head + own + "\n" + tail;
}

} // namespace

API int nvrtcVersion(int *major, int *minor) { *major = 13; *minor = 0; return 0; }
API const char *nvrtcGetErrorString(int code) { return code == 0 ? "NVRTC_SUCCESS" : code == 6 ? "NVRTC_ERROR_COMPILATION" : "NVRTC_ERROR"; }
API int nvrtcCreateProgram(Program **program, const char *source, const char *, int headers, const char **, const char **) {
  if (headers != 0) return 3;
  *program = new Program{source};
  return 0;
}
API int nvrtcDestroyProgram(Program **program) {
  delete *program;
  *program = nullptr;
  return 0;
}
API int nvrtcCompileProgram(Program *p, int, const char **) {
  const char *folder = getenv("PTA_EMULATOR_CACHE"), *compile = getenv("PTA_EMULATOR_COMPILE");
  if (folder == nullptr || compile == nullptr) {
    p->log = "PTA_EMULATOR_CACHE and PTA_EMULATOR_COMPILE must be set";
    return 6;
  }
  const std::string key = digest(p->source), base = std::string(folder) + "/" + key, library = base + ".so";
  const std::string known = exists(library) ? library : read(base + ".in");
  if (!known.empty() && exists(known)) {
    p->image = "EMULATED " + known;
    return 0;
  }
  const std::string text = launchable(p->source);
  if (getenv("PTA_EMULATOR_COLLECT") != nullptr) {
    write(base + ".wanted", text);
    p->image = "EMULATED none";
    return 0;
  }
  const std::string own = base + "." + std::to_string(getpid());
  write(own + ".cpp", text);
  const std::string command = std::string(compile) + " -o " + own + ".so " + own + ".cpp 2> " + own + ".log";
  const int failed = system(command.c_str());
  p->log = read(own + ".log");
  unlink((own + ".log").c_str());
  if (failed) return 6;
  unlink((own + ".cpp").c_str());
  rename((own + ".so").c_str(), library.c_str());
  p->image = "EMULATED " + library;
  return 0;
}
API int nvrtcGetProgramLogSize(Program *p, size_t *n) { *n = p->log.size() + 1; return 0; }
API int nvrtcGetProgramLog(Program *p, char *log) { memcpy(log, p->log.c_str(), p->log.size() + 1); return 0; }
API int nvrtcGetCUBINSize(Program *p, size_t *n) { *n = p->image.size() + 1; return 0; }
API int nvrtcGetCUBIN(Program *p, char *image) { memcpy(image, p->image.c_str(), p->image.size() + 1); return 0; }
API int nvrtcGetPTXSize(Program *, size_t *n) { *n = 1; return 0; }
API int nvrtcGetPTX(Program *, char *text) { *text = 0; return 0; }
API int nvrtcGetNumSupportedArchs(int *n) { *n = 1; return 0; }
API int nvrtcGetSupportedArchs(int *archs) { archs[0] = 90; return 0; }
API int nvrtcAddNameExpression(Program *, const char *) { return 3; }
API int nvrtcGetLoweredName(Program *, const char *, const char **) { return 3; }
