#include "policy/units.h"

#include <array>
#include <charconv>
#include <optional>

namespace stockade::policy {

namespace {

struct Unit {
  std::string_view name;
  uint64_t factor;
};
constexpr std::array<Unit, 5> kSizes{
    {{"TiB", 1ull << 40}, {"GiB", 1ull << 30}, {"MiB", 1ull << 20}, {"KiB", 1ull << 10}, {"", 1}}};
constexpr std::array<Unit, 4> kDurations{{{"h", 3'600'000}, {"m", 60'000}, {"s", 1000}, {"ms", 1}}};

// The number in front; `rest` is what follows it.
std::optional<uint64_t> leading_number(std::string_view text, std::string_view& rest) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc()) return std::nullopt;
  if (text.size() > 1 && text[0] == '0' && end != text.data() + 1) return std::nullopt;
  rest = text.substr(static_cast<size_t>(end - text.data()));
  return value;
}

// "512MB" → "512MiB": the unit that was meant.
std::string meant_size(std::string_view number, std::string_view unit) {
  if (unit.starts_with(' ')) unit.remove_prefix(1);
  if (unit.empty()) return "512MiB";
  const char letter = static_cast<char>(unit[0] & ~0x20);
  for (const Unit& size : kSizes)
    if (!size.name.empty() && size.name[0] == letter) return std::string(number) + std::string(size.name);
  return "512MiB";
}

template <size_t N>
Result<uint64_t> scaled(uint64_t value, std::string_view unit, const std::array<Unit, N>& units, uint64_t limit) {
  for (const Unit& candidate : units) {
    if (candidate.name != unit) continue;
    if (value > limit / candidate.factor) return fail(ErrorKind::limit, "too large");
    return value * candidate.factor;
  }
  return fail(ErrorKind::invalid_input, "unknown unit");
}

}  // namespace

Result<uint64_t> parse_size(std::string_view text) {
  std::string_view unit;
  const auto value = leading_number(text, unit);
  if (!value) return std::unexpected(Error(ErrorKind::invalid_input, "not a size").hint("write it as 512MiB or 2GiB"));
  auto size = scaled(*value, unit, kSizes, uint64_t{1} << 60);
  if (size) return size;
  if (size.error().kind() == ErrorKind::limit) return fail(ErrorKind::invalid_input, "larger than any machine");
  return std::unexpected(Error(ErrorKind::invalid_input, "not a size")
                             .hint(fmt::format("the units are KiB, MiB, GiB and TiB; did you mean {}?",
                                               meant_size(text.substr(0, text.size() - unit.size()), unit))));
}

Result<std::chrono::milliseconds> parse_duration(std::string_view text) {
  std::string_view unit;
  const auto value = leading_number(text, unit);
  if (!value)
    return std::unexpected(Error(ErrorKind::invalid_input, "not a duration").hint("write it as 300s, 5m or 1h"));
  const auto scale = scaled(*value, unit, kDurations, uint64_t{366} * 24 * 3'600'000);
  if (scale) return std::chrono::milliseconds(*scale);
  if (scale.error().kind() == ErrorKind::limit) return fail(ErrorKind::invalid_input, "longer than a year");
  return std::unexpected(
      Error(ErrorKind::invalid_input, unit.empty() ? "a duration without its unit" : "not a duration")
          .hint(fmt::format("the units are ms, s, m and h; did you mean {}s?", *value)));
}

Result<uint64_t> parse_count(std::string_view text) {
  std::string_view rest;
  const auto value = leading_number(text, rest);
  if (!value || !rest.empty())
    return std::unexpected(Error(ErrorKind::invalid_input, "not a whole number").hint("write decimal digits only"));
  return *value;
}

Result<double> parse_cpus(std::string_view text) {
  const auto bad = [] {
    return std::unexpected(Error(ErrorKind::invalid_input, "not a number of CPUs").hint("write it as 1, 2 or 0.5"));
  };
  std::string_view rest;
  const auto whole = leading_number(text, rest);
  if (!whole || *whole > 4096) return bad();
  double value = static_cast<double>(*whole);
  if (!rest.empty()) {
    if (rest[0] != '.' || rest.size() < 2 || rest.size() > 4) return bad();
    double scale = 0.1;
    for (const char digit : rest.substr(1)) {
      if (digit < '0' || digit > '9') return bad();
      value += (digit - '0') * scale;
      scale /= 10;
    }
  }
  return value;
}

std::string format_size(uint64_t bytes) {
  for (const Unit& unit : kSizes)
    if (bytes != 0 && bytes % unit.factor == 0) return fmt::format("{}{}", bytes / unit.factor, unit.name);
  return fmt::format("{}", bytes);
}

std::string format_duration(std::chrono::milliseconds duration) {
  const auto count = static_cast<uint64_t>(duration.count());
  // Seconds up to ten minutes: "300s" is how policies say it.
  if (count % 1000 == 0 && count <= 600'000) return fmt::format("{}s", count / 1000);
  for (const Unit& unit : kDurations)
    if (count % unit.factor == 0) return fmt::format("{}{}", count / unit.factor, unit.name);
  return fmt::format("{}ms", count);
}

std::string format_cpus(double cpus) { return fmt::format("{:.4g}", cpus); }

}  // namespace stockade::policy
