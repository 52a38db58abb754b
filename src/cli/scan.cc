// scan: the content inspection of the firewall, on files, directories and pipes.
#include <fmt/format.h>
#include <sodium.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/fd.h"
#include "base/printable.h"
#include "cli/arguments.h"
#include "cli/output.h"
#include "inspect/stream.h"

namespace stockade::cli {

namespace {

namespace fs = std::filesystem;
using inspect::Finding;
using nlohmann::ordered_json;

constexpr size_t kRead = 64 * 1024;
constexpr const char* kSchema = "https://json.schemastore.org/sarif-2.1.0.json";

struct Located {
  std::string file;
  uint64_t line = 1;
  uint64_t column = 1;
  uint64_t end_line = 1;
  uint64_t end_column = 1;
  Finding finding;
};

// Lines and columns (in characters, from 1) of offsets that only grow.
class Cursor {
 public:
  // `bytes` begin where the cursor's bytes ended.
  void advance(std::string_view bytes, uint64_t to) {
    for (; offset_ < to && offset_ - base_ < bytes.size(); ++offset_) {
      const auto byte = static_cast<unsigned char>(bytes[offset_ - base_]);
      line_ += byte == '\n';
      column_ = byte == '\n' ? 1 : column_ + ((byte & 0xc0) != 0x80);
    }
  }
  void drop(size_t count) { base_ += count; }
  uint64_t line() const { return line_; }
  uint64_t column() const { return column_; }

 private:
  uint64_t base_ = 0;
  uint64_t offset_ = 0;
  uint64_t line_ = 1;
  uint64_t column_ = 1;
};

class Scan {
 public:
  Scan(inspect::Scanner scanner, const ScanOptions& options) : scanner_(std::move(scanner)), options_(options) {}

  Result<void> path(const std::string& path) {
    if (path == "-") return bytes("<stdin>", STDIN_FILENO);
    struct stat about;
    if (::stat(path.c_str(), &about) < 0) return fail_errno("look at {}", path);
    if (!S_ISDIR(about.st_mode)) return file(path);
    // In the order of their names, so that two scans print the same. Links are not followed: they may lead in circles.
    std::error_code error;
    std::vector<std::string> files;
    for (fs::recursive_directory_iterator it(path, fs::directory_options::skip_permission_denied, error), end;
         !error && it != end; it.increment(error)) {
      if (it->is_directory(error) && it->path().filename() == ".git" && !it->is_symlink(error))
        it.disable_recursion_pending();
      if (it->is_regular_file(error) && !it->is_symlink(error)) files.push_back(it->path().string());
    }
    if (error) return fail(ErrorKind::unavailable, "read the directory {}: {}", path, error.message());
    std::sort(files.begin(), files.end());
    for (const std::string& each : files) STOCKADE_TRY(file(each));
    return {};
  }

  std::vector<Located> found;
  uint64_t files = 0;

 private:
  Result<void> file(const std::string& path) {
    STOCKADE_ASSIGN(const Fd fd, open_at(AT_FDCWD, path, O_RDONLY | O_NOCTTY));
    return bytes(path, fd.get());
  }
  Result<void> bytes(const std::string& name, int fd) {
    ++files;
    inspect::StreamScanner stream(
        scanner_,
        {.direction = options_.direction == "in" ? inspect::Direction::in : inspect::Direction::out, .place = "body"});
    Cursor begin, end;
    std::string held;
    std::string buffer(kRead, '\0');
    for (ssize_t count = 1; count > 0;) {
      do count = ::read(fd, buffer.data(), buffer.size());
      while (count < 0 && errno == EINTR);
      if (count < 0) return fail_errno("read {}", name);
      const std::string_view piece(buffer.data(), static_cast<size_t>(count));
      held += piece;
      auto fed = stream.feed(piece, count == 0);
      std::sort(fed.findings.begin(), fed.findings.end(),
                [](const Finding& a, const Finding& b) { return a.begin < b.begin; });
      for (Finding& finding : fed.findings) {
        Located located{.file = name};
        begin.advance(held, finding.begin);
        located.line = begin.line();
        located.column = begin.column();
        Cursor stop = begin;
        stop.advance(held, finding.end);
        located.end_line = stop.line();
        located.end_column = stop.column();
        located.finding = std::move(finding);
        found.push_back(std::move(located));
      }
      begin.advance(held, stream.released());
      begin.drop(fed.release);
      held.erase(0, fed.release);
    }
    return {};
  }

  inspect::Scanner scanner_;
  const ScanOptions& options_;
};

ordered_json to_json(const Located& at) {
  const Finding& f = at.finding;
  return {{"file", at.file},
          {"line", at.line},
          {"column", at.column},
          {"end_line", at.end_line},
          {"end_column", at.end_column},
          {"rule", f.rule},
          {"title", f.title},
          {"severity", std::string(to_string(f.severity))},
          {"direction", std::string(to_string(f.direction))},
          {"through", f.through},
          {"begin", f.begin},
          {"end", f.end},
          {"excerpt", f.excerpt},
          {"fingerprint", f.fingerprint}};
}

// SARIF's three words for four severities.
const char* level_of(inspect::Severity severity) {
  switch (severity) {
    case inspect::Severity::low:
      return "note";
    case inspect::Severity::medium:
      return "warning";
    case inspect::Severity::high:
    case inspect::Severity::critical:
      break;
  }
  return "error";
}

// What may stand in a URI (RFC 3986), the rest percent-encoded.
std::string to_uri(std::string_view path) {
  std::string uri;
  for (const char c : path) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       std::string_view("-._~/").find(c) != std::string_view::npos;
    uri += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return path.starts_with('/') ? "file://" + uri : uri;
}

ordered_json to_sarif(const std::vector<Located>& found) {
  ordered_json rules = ordered_json::array(), results = ordered_json::array();
  std::vector<std::string> ids;
  for (const Located& at : found) {
    const Finding& f = at.finding;
    const auto known = std::find(ids.begin(), ids.end(), f.rule);
    const auto index = static_cast<size_t>(known - ids.begin());
    if (known == ids.end()) {
      ids.push_back(f.rule);
      rules.push_back({{"id", f.rule},
                       {"shortDescription", {{"text", f.title}}},
                       {"defaultConfiguration", {{"level", level_of(f.severity)}}}});
    }
    const std::string through = f.through.empty() ? "" : fmt::format(", through {}", f.through);
    results.push_back({{"ruleId", f.rule},
                       {"ruleIndex", index},
                       {"level", level_of(f.severity)},
                       {"message", {{"text", fmt::format("{} ({}){}", f.title, f.excerpt, through)}}},
                       {"locations",
                        {{{"physicalLocation",
                           {{"artifactLocation", {{"uri", to_uri(at.file)}}},
                            {"region",
                             {{"startLine", at.line},
                              {"startColumn", at.column},
                              {"endLine", at.end_line},
                              {"endColumn", at.end_column}}}}}}}}});
  }
  return {{"$schema", kSchema},
          {"version", "2.1.0"},
          {"runs",
           {{{"tool", {{"driver", {{"name", "stockade"}, {"version", STOCKADE_VERSION}, {"rules", rules}}}}},
             {"columnKind", "unicodeCodePoints"},
             {"results", results}}}}};
}

int used_wrongly(const Error& error) {
  print_error(error);
  return 2;
}

}  // namespace

int scan(const ScanOptions& options) {
  if (options.kind != "secrets")
    return used_wrongly(Error(ErrorKind::invalid_input, fmt::format("there is no kind '{}' to look for", options.kind))
                            .hint("secrets is what is built"));
  if (options.direction != "out" && options.direction != "in")
    return used_wrongly(Error(ErrorKind::invalid_input, "--direction is out or in"));
  auto rules = inspect::CompiledRules::builtin();
  if (!rules) return used_wrongly(rules.error());
  // A key that lives no longer than we do would make fingerprints of no use to compare; one derived from what is known
  // makes them guessable for short values. They are told apart within this output only.
  inspect::EngineOptions engine_options{.rules = std::move(*rules)};
  randombytes_buf(engine_options.key.data(), engine_options.key.size());
  auto engine = inspect::Engine::create(std::move(engine_options));
  if (!engine) return used_wrongly(engine.error());
  auto scanner = inspect::Scanner::create(*engine);
  if (!scanner) return used_wrongly(scanner.error());
  Scan scan(std::move(*scanner), options);
  for (const std::string& path : options.paths.empty() ? std::vector<std::string>{"-"} : options.paths)
    if (auto done = scan.path(path); !done) return used_wrongly(done.error());

  if (options.sarif) {
    print_json(to_sarif(scan.found));
  } else if (options.json) {
    ordered_json findings = ordered_json::array();
    for (const Located& at : scan.found) findings.push_back(to_json(at));
    print_json({{"files", scan.files}, {"findings", findings}});
  } else {
    for (const Located& at : scan.found)
      fmt::print("{}:{}:{}: {}: {} ({}){}\n", escape_for_terminal(at.file), at.line, at.column, at.finding.rule,
                 at.finding.title, escape_for_terminal(at.finding.excerpt),
                 at.finding.through.empty() ? "" : fmt::format(" [{}]", at.finding.through));
  }
  return scan.found.empty() ? 0 : 1;
}

}  // namespace stockade::cli
