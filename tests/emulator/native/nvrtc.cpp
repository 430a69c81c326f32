// NVRTC: keeps the text. What the driver takes as code is the text again; g++ compiles it when it is launched.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#define API extern "C" __attribute__((visibility("default"))) int

enum { OK = 0, INVALID_INPUT = 3, INVALID_PROGRAM = 4, INVALID_OPTION = 5, COMPILATION = 6, NO_LOWERED = 10 };
static const int architectures[] = {75, 80, 86, 87, 88, 89, 90, 100, 103, 110, 120, 121};

struct Program {
  std::string source, name, log, image;
  std::vector<std::string> expressions, lowered;
  bool compiled = false, virtualOnly = false;
};

API nvrtcVersion(int *major, int *minor) {
  *major = 13;
  *minor = 0;
  return OK;
}
extern "C" __attribute__((visibility("default"))) const char *nvrtcGetErrorString(int code) {
  switch (code) {
  case OK: return "NVRTC_SUCCESS";
  case INVALID_INPUT: return "NVRTC_ERROR_INVALID_INPUT";
  case INVALID_PROGRAM: return "NVRTC_ERROR_INVALID_PROGRAM";
  case INVALID_OPTION: return "NVRTC_ERROR_INVALID_OPTION";
  case COMPILATION: return "NVRTC_ERROR_COMPILATION";
  case NO_LOWERED: return "NVRTC_ERROR_NAME_EXPRESSION_NOT_VALID";
  default: return "NVRTC_ERROR_INTERNAL_ERROR";
  }
}
API nvrtcGetNumSupportedArchs(int *count) {
  *count = sizeof architectures / sizeof *architectures;
  return OK;
}
API nvrtcGetSupportedArchs(int *all) {
  memcpy(all, architectures, sizeof architectures);
  return OK;
}
API nvrtcCreateProgram(Program **made, const char *source, const char *name, int, const char *const *, const char *const *) {
  if (made == nullptr || source == nullptr) return INVALID_INPUT;
  *made = new Program;
  (*made)->source = source;
  (*made)->name = name == nullptr ? "default_program" : name;
  return OK;
}
API nvrtcDestroyProgram(Program **p) {
  if (p == nullptr || *p == nullptr) return INVALID_PROGRAM;
  delete *p;
  *p = nullptr;
  return OK;
}
API nvrtcAddNameExpression(Program *p, const char *expression) {
  if (p == nullptr || p->compiled) return INVALID_PROGRAM;
  p->expressions.push_back(expression);
  return OK;
}

// What any compiler would complain of at once: brackets that do not match, `#error`.
static std::string complaint(const std::string &s) {
  std::vector<char> open;
  int line = 1;
  for (size_t i = 0; i < s.size(); ++i) {
    if (s[i] == '\n') ++line;
    if (s.compare(i, 2, "//") == 0) {
      while (i + 1 < s.size() && s[i + 1] != '\n') ++i;
    } else if (s.compare(i, 2, "/*") == 0) {
      const size_t end = s.find("*/", i + 2);
      if (end == std::string::npos) return "a comment has no end";
      for (; i < end + 1; ++i) line += s[i] == '\n';
    } else if (s[i] == '"') {
      for (++i; i < s.size() && s[i] != '"'; ++i) i += s[i] == '\\';
    } else if (strchr("({[", s[i]) != nullptr && s[i] != 0) open.push_back(s[i]);
    else if (strchr(")}]", s[i]) != nullptr && s[i] != 0) {
      const char want = s[i] == ')' ? '(' : s[i] == '}' ? '{' : '[';
      if (open.empty() || open.back() != want) return "line " + std::to_string(line) + ": unexpected \"" + s[i] + "\"";
      open.pop_back();
    }
  }
  return open.empty() ? "" : std::string("\"") + open.back() + "\" is not closed";
}

API nvrtcCompileProgram(Program *p, int count, const char *const *options) {
  if (p == nullptr) return INVALID_PROGRAM;
  std::string defines;
  for (int i = 0; i < count; ++i) {
    std::string o = options[i];
    if (o.rfind("--gpu-architecture=", 0) == 0) o = "-arch=" + o.substr(19);
    if (o.rfind("-arch=", 0) == 0) {
      const bool real = o.compare(6, 3, "sm_") == 0;
      const int number = atoi(o.c_str() + (real ? 9 : 14));
      bool known = false;
      for (int a : architectures) known = known || a == number;
      if (!known) {
        p->log = "nvrtc: error: invalid value for --gpu-architecture (-arch)";
        return INVALID_OPTION;
      }
      p->virtualOnly = !real;
    } else if (o.rfind("-D", 0) == 0) {
      const size_t equals = o.find('=');
      defines += "#define " + (equals == std::string::npos ? o.substr(2) + " 1" : o.substr(2, equals - 2) + " " + o.substr(equals + 1)) + "\n";
    }
  }
  const std::string wrong = complaint(p->source);
  if (!wrong.empty()) {
    p->log = p->name + ": error: " + wrong;
    return COMPILATION;
  }
  std::string body;
  for (size_t i = 0; i < p->expressions.size(); ++i) {
    body += p->expressions[i] + "\n";
    p->lowered.push_back("expression_" + std::to_string(i));
  }
  body += defines + "\n" + p->source;
  p->image = "PTAEMULATOR " + std::to_string(body.size()) + "\n" + body + '\0';
  p->compiled = true;
  return OK;
}
API nvrtcGetProgramLogSize(Program *p, uint64_t *size) {
  if (p == nullptr) return INVALID_PROGRAM;
  *size = p->log.size() + 1;
  return OK;
}
API nvrtcGetProgramLog(Program *p, char *out) {
  if (p == nullptr) return INVALID_PROGRAM;
  memcpy(out, p->log.c_str(), p->log.size() + 1);
  return OK;
}
API nvrtcGetLoweredName(Program *p, const char *expression, const char **name) {
  if (p == nullptr || !p->compiled) return INVALID_PROGRAM;
  for (size_t i = 0; i < p->expressions.size(); ++i) {
    if (p->expressions[i] != expression) continue;
    *name = p->lowered[i].c_str();
    return OK;
  }
  return NO_LOWERED;
}
API nvrtcGetPTXSize(Program *p, uint64_t *size) {
  if (p == nullptr || !p->compiled) return INVALID_PROGRAM;
  *size = p->image.size();
  return OK;
}
API nvrtcGetPTX(Program *p, char *out) {
  if (p == nullptr || !p->compiled) return INVALID_PROGRAM;
  memcpy(out, p->image.data(), p->image.size());
  return OK;
}
API nvrtcGetCUBINSize(Program *p, uint64_t *size) {
  if (p == nullptr || !p->compiled) return INVALID_PROGRAM;
  *size = p->virtualOnly ? 0 : p->image.size();
  return OK;
}
API nvrtcGetCUBIN(Program *p, char *out) {
  if (p == nullptr || !p->compiled || p->virtualOnly) return INVALID_PROGRAM;
  memcpy(out, p->image.data(), p->image.size());
  return OK;
}
