// Sizes and durations as policies write them: 512MiB, 300s. One unit each, whole numbers, no guessing: "512MB" and
// "300" are errors whose text names the valid spelling.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"

namespace stockade::policy {

Result<uint64_t> parse_size(std::string_view text);                       // plain bytes, KiB, MiB, GiB, TiB
Result<std::chrono::milliseconds> parse_duration(std::string_view text);  // ms, s, m, h
Result<uint64_t> parse_count(std::string_view text);                      // decimal digits
Result<double> parse_cpus(std::string_view text);                         // 1, 0.5: to three decimals

std::string format_size(uint64_t bytes);  // the shortest exact spelling that parse_size() reads
std::string format_duration(std::chrono::milliseconds duration);
std::string format_cpus(double cpus);

}  // namespace stockade::policy
