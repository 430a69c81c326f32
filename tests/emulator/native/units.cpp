// CUDA C text cut into units: each kernel with the declarations that it needs. Equal units are compiled once, whatever module they came in.
#include "emulator.h"
#include <algorithm>
#include <fstream>
#include <sstream>

namespace emulator {

// A declaration of the outermost level, or a line for the preprocessor.
struct Item {
  std::string text, name;
  std::vector<std::string> words;
  bool directive = false, kernel = false;
};

static bool isWord(char c) { return isalnum((unsigned char)c) || c == '_'; }

// The place after a comment, string or character that begins at `i`; `i` when none does.
static size_t skip(const std::string &s, size_t i) {
  if (s.compare(i, 2, "//") == 0) return std::min(s.find('\n', i), s.size());
  if (s.compare(i, 2, "/*") == 0) return std::min(s.find("*/", i + 2), s.size() - 2) + 2;
  // A digit before it separates thousands.
  if (s[i] != '"' && (s[i] != '\'' || (i > 0 && isdigit((unsigned char)s[i - 1])))) return i;
  for (size_t j = i + 1; j < s.size(); ++j) {
    if (s[j] == '\\') ++j;
    else if (s[j] == s[i]) return j + 1;
  }
  return s.size();
}

static std::vector<std::string> wordsOf(const std::string &s) {
  std::vector<std::string> words;
  for (size_t i = 0; i < s.size();) {
    const size_t after = skip(s, i);
    if (after > i) i = after;
    else if (isWord(s[i])) {
      size_t j = i;
      while (j < s.size() && isWord(s[j])) ++j;
      if (!isdigit((unsigned char)s[i])) words.push_back(s.substr(i, j - i));
      i = j;
    } else ++i;
  }
  return words;
}

static bool oneOf(const std::string &s, std::initializer_list<const char *> list) {
  return std::any_of(list.begin(), list.end(), [&](const char *x) { return s == x; });
}

// What an item declares: the last word before its parameters, body, size or value.
static void nameItem(Item &item) {
  std::string last;
  bool record = false, named = false;
  const std::string &s = item.text;
  for (size_t i = 0; i < s.size();) {
    const size_t after = skip(s, i);
    if (after > i) {
      i = after;
      continue;
    }
    if (isWord(s[i])) {
      size_t j = i;
      while (j < s.size() && isWord(s[j])) ++j;
      const std::string word = s.substr(i, j - i);
      i = j;
      if (word == "__global__") item.kernel = true;
      if (oneOf(word, {"struct", "class", "union", "enum"})) record = true;
      const bool bracketed = oneOf(word, {"__launch_bounds__", "__attribute__", "alignas", "__align__", "template", "decltype", "packAlign"});
      if (!bracketed) {
        if (named) continue;
        last = word;
        // A record is named by the word after it.
        named = record && !oneOf(word, {"struct", "class", "union", "enum"});
        continue;
      }
      // Its argument in brackets names nothing.
      while (i < s.size() && s[i] != '(' && s[i] != '<') ++i;
      const char open = i < s.size() ? s[i] : 0, close = open == '(' ? ')' : '>';
      for (int depth = 0; i < s.size(); ++i) {
        if (s[i] == open) ++depth;
        else if (s[i] == close && --depth == 0) {
          ++i;
          break;
        }
      }
      continue;
    }
    if (s[i] == '<') {
      // Arguments of a template are not what is declared.
      for (int angles = 0; i < s.size(); ++i) {
        if (s[i] == '<') ++angles;
        else if (s[i] == '>' && --angles == 0) break;
      }
    }
    if (s[i] == '(' || s[i] == '{' || s[i] == '[' || s[i] == '=' || s[i] == ';' || (s[i] == ':' && record)) break;
    ++i;
  }
  item.name = last;
}

static std::vector<Item> itemsOf(const std::string &s) {
  std::vector<Item> items;
  size_t begin = 0;
  int depth = 0;
  bool bodyEnds = false, started = false;
  auto close = [&](size_t end) {
    Item item;
    item.text = s.substr(begin, end - begin);
    nameItem(item);
    item.words = wordsOf(item.text);
    items.push_back(std::move(item));
    begin = end;
    started = false;
  };
  for (size_t i = 0; i < s.size();) {
    const size_t after = skip(s, i);
    if (after > i) {
      i = after;
      continue;
    }
    if (!started) {
      if (isspace((unsigned char)s[i]) || s[i] == ';') {
        begin = ++i;
        continue;
      }
      begin = i;
      started = true;
      if (s[i] == '#') {
        // A directive goes on after a backslash.
        size_t end = s.find('\n', i);
        while (end != std::string::npos && s[end - 1] == '\\') end = s.find('\n', end + 1);
        end = end == std::string::npos ? s.size() : end + 1;
        Item item;
        item.directive = true;
        item.text = s.substr(i, end - i);
        item.words = wordsOf(item.text);
        items.push_back(item);
        begin = i = end;
        started = false;
        continue;
      }
    }
    if (s[i] == '(' || s[i] == '[') ++depth;
    else if (s[i] == ')' || s[i] == ']') --depth;
    else if (s[i] == '{') {
      if (depth++ == 0) {
        // A function ends with its body; a struct, or a value in braces, at the semicolon.
        Item head;
        head.text = s.substr(begin, i - begin);
        const std::vector<std::string> words = wordsOf(head.text);
        bodyEnds = head.text.find('(') != std::string::npos || (!words.empty() && words[0] == "namespace");
        for (const auto &w : words) {
          if (oneOf(w, {"struct", "class", "union", "enum"}) && head.text.find(')') == std::string::npos) bodyEnds = false;
        }
        for (const auto &w : words) {
          if (oneOf(w, {"alignas", "packAlign", "__align__"})) bodyEnds = false;
        }
      }
    } else if (s[i] == '}') {
      if (--depth == 0 && bodyEnds) close(i + 1);
    } else if (s[i] == ';' && depth == 0) close(i + 1);
    ++i;
  }
  return items;
}

static std::string readFile(const std::string &path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

static u64 hash(const std::string &s, u64 h) {
  for (unsigned char c : s) h = (h ^ c) * 0x100000001b3ull;
  return h ^ h >> 29;
}
static std::string digest(const std::string &s) {
  char text[40];
  snprintf(text, sizeof text, "%016llx%016llx", (unsigned long long)hash(s, 0xcbf29ce484222325ull),
           (unsigned long long)hash(s, 0x9e3779b97f4a7c15ull));
  return text;
}

// `extern __shared__ T x[];` is memory that the launch gives.
static std::string withDynamicShared(const std::string &s) {
  std::string out;
  size_t from = 0;
  for (;;) {
    const size_t at = s.find("extern __shared__", from);
    if (at == std::string::npos) return out + s.substr(from);
    const size_t bracket = s.find('[', at), end = s.find(';', at);
    if (bracket == std::string::npos || end == std::string::npos || bracket > end) return out + s.substr(from);
    std::string type = s.substr(at + 17, bracket - at - 17);
    for (size_t a; (a = type.find("__align__")) != std::string::npos || (a = type.find("alignas")) != std::string::npos;) {
      type.erase(a, type.find(')', a) + 1 - a);
    }
    size_t last = type.size();
    while (last > 0 && !isWord(type[last - 1])) --last;
    size_t first = last;
    while (first > 0 && isWord(type[first - 1])) --first;
    const std::string name = type.substr(first, last - first);
    type = type.substr(0, first);
    out += s.substr(from, at - from) + type + "*" + name + " = (" + type + "*)emulator::dynamicShared;";
    from = end + 1;
  }
}

static std::vector<Parameter> parametersOf(const Item &item) {
  std::vector<Parameter> parameters;
  const size_t name = item.text.find(item.name + "(");
  if (name == std::string::npos) return parameters;
  std::string part;
  int depth = 0;
  for (size_t i = name + item.name.size(); i < item.text.size(); ++i) {
    const char c = item.text[i];
    if (c == '(' || c == '<') ++depth;
    const bool end = c == ')' && depth == 1;
    if ((c == ',' && depth == 1) || end) {
      const size_t star = part.find('*');
      const bool pointer = star != std::string::npos;
      if (part.find_first_not_of(" \n(") != std::string::npos) {
        parameters.push_back({pointer, pointer && part.substr(0, star).find("const") != std::string::npos});
      }
      part.clear();
    } else part += c;
    if (end) return parameters;
    if (c == ')' || c == '>') --depth;
  }
  return parameters;
}

static unsigned boundsOf(const std::string &text) {
  const size_t at = text.find("__launch_bounds__");
  if (at == std::string::npos) return 0;
  const size_t digits = text.find_first_of("0123456789", at);
  return digits == std::string::npos ? 0 : strtoul(text.c_str() + digits, nullptr, 10);
}

struct Prelude {
  std::string text, stamp;
  std::vector<Item> items;
};
static const Prelude &prelude() {
  static const Prelude *made = [] {
    auto p = new Prelude;
    p->text = readFile(folder() + "/prelude.h");
    p->stamp = readFile(folder() + "/stamp");
    p->items = itemsOf(p->text);
    return p;
  }();
  return *made;
}

static bool usesBarriers(const std::vector<std::string> &words) {
  for (const auto &w : words) {
    if (w == "__syncthreads" || w == "__syncwarp" || w == "__ballot_sync" || w == "__any_sync" || w == "__all_sync" ||
        w.compare(0, 6, "__shfl") == 0) {
      return true;
    }
  }
  return false;
}

std::vector<std::shared_ptr<Unit>> unitsOf(const std::string &whole, const std::string &defines,
                                           const std::vector<std::string> &expressions) {
  const Prelude &p = prelude();
  const bool known = whole.compare(0, p.text.size(), p.text) == 0;
  const std::vector<Item> own = itemsOf(defines + (known ? whole.substr(p.text.size()) : whole));
  std::vector<const Item *> all;
  if (known) {
    for (const Item &i : p.items) all.push_back(&i);
  }
  const size_t given = all.size();
  for (const Item &i : own) all.push_back(&i);
  std::unordered_map<std::string, std::vector<size_t>> byName;
  for (size_t i = 0; i < all.size(); ++i) {
    if (!all[i]->directive) byName[all[i]->name].push_back(i);
  }
  std::vector<std::string> directiveWords;
  for (const Item &i : own) {
    if (i.directive) directiveWords.insert(directiveWords.end(), i.words.begin(), i.words.end());
  }

  auto unitFor = [&](const std::string &name, std::vector<std::string> words, const Item *kernel) {
    auto unit = std::make_shared<Unit>();
    std::vector<bool> in(all.size(), false);
    words.insert(words.end(), directiveWords.begin(), directiveWords.end());
    while (!words.empty()) {
      const std::string word = words.back();
      words.pop_back();
      auto found = byName.find(word);
      if (found == byName.end()) continue;
      for (size_t i : found->second) {
        // Other kernels are nobody's concern.
        if (in[i] || (all[i]->kernel && all[i] != kernel && kernel != nullptr)) continue;
        in[i] = true;
        words.insert(words.end(), all[i]->words.begin(), all[i]->words.end());
      }
    }
    std::string hashed = p.stamp + name;
    for (size_t i = 0; i < all.size(); ++i) {
      const Item &item = *all[i];
      if (!in[i] && !(item.directive && i >= given)) continue;
      unit->synchronizes = unit->synchronizes || usesBarriers(item.words);
      if (i < given) {
        hashed += item.text;
        continue;
      }
      std::string text = item.text;
      if (item.kernel && text.compare(0, 10, "extern \"C\"") == 0) text.erase(0, 10);
      unit->text += withDynamicShared(text) + "\n";
      if (item.directive && item.words.size() > 1 && item.words[0] == "define") unit->macros.push_back(item.words[1]);
    }
    unit->name = name;
    unit->key = digest(hashed + "\n" + unit->text);
    if (kernel != nullptr) {
      unit->parameters = parametersOf(*kernel);
      unit->launchBounds = boundsOf(kernel->text);
    }
    return unit;
  };

  std::vector<std::shared_ptr<Unit>> units;
  for (const Item &i : own) {
    if (i.kernel && i.text.compare(0, 8, "template") != 0) units.push_back(unitFor(i.name, {i.name}, &i));
  }
  for (const auto &e : expressions) {
    const std::string name = e[0] == '&' ? e.substr(1) : e;
    const std::vector<std::string> words = wordsOf(name);
    const Item *kernel = nullptr;
    for (const Item &i : own) {
      if (i.kernel && !words.empty() && i.name == words[0]) kernel = &i;
    }
    units.push_back(unitFor(name, words, kernel));
  }
  return units;
}

} // namespace emulator
