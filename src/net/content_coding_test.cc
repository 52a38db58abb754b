#include "net/content_coding.h"

#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

namespace stockade::net {

namespace {

std::string gzip(std::string_view text) {
  GzipEncoder encoder;
  std::string out;
  EXPECT_TRUE(encoder.encode(text, out));
  EXPECT_TRUE(encoder.finish(out));
  return out;
}

std::string deflate_zlib(std::string_view text) {
  std::string out(compressBound(text.size()), '\0');
  uLongf size = out.size();
  EXPECT_EQ(
      compress(reinterpret_cast<Bytef*>(out.data()), &size, reinterpret_cast<const Bytef*>(text.data()), text.size()),
      Z_OK);
  out.resize(size);
  return out;
}

std::string zstd(std::string_view text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
  return out;
}

Result<std::string> decode(const std::string& codings, std::string_view bytes, size_t piece,
                           const DecodeLimits& limits = {}) {
  STOCKADE_ASSIGN(const auto chain, parse_content_codings(codings));
  STOCKADE_ASSIGN(auto decoder, ContentDecoder::make(chain, limits));
  std::string out;
  for (size_t at = 0; at < bytes.size(); at += piece) STOCKADE_TRY(decoder.decode(bytes.substr(at, piece), out));
  STOCKADE_TRY(decoder.finish());
  return out;
}

std::string sample() {
  std::string text;
  for (int i = 0; i < 5000; ++i) text += "line " + std::to_string(i * 7919) + "\n";
  return text;
}

TEST(ContentCoding, UndoesEachCodingHoweverTheBytesAreCut) {
  const std::string text = sample();
  for (const auto& [name, bytes] : {std::pair<std::string, std::string>("gzip", gzip(text)),
                                    {"x-gzip", gzip(text)},
                                    {"deflate", deflate_zlib(text)},
                                    {"zstd", zstd(text)},
                                    {"identity", text},
                                    {"gzip, zstd", zstd(gzip(text))}}) {
    for (const size_t piece : {size_t{1}, size_t{1000}, bytes.size()}) {
      const auto out = decode(name, bytes, piece);
      ASSERT_TRUE(out) << name << ": " << out.error().message();
      EXPECT_EQ(*out, text) << name;
    }
  }
}

TEST(ContentCoding, RefusesWhatBreaksOffAndWhatIsUnknown) {
  const std::string bytes = gzip(sample());
  EXPECT_FALSE(decode("gzip", std::string_view(bytes).substr(0, bytes.size() / 2), 100));
  EXPECT_FALSE(decode("gzip", "no gzip at all", 100));
  const auto unknown = parse_content_codings("compress");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().kind(), ErrorKind::unavailable);
  EXPECT_FALSE(parse_content_codings("gzip, gzip, gzip, gzip"));
}

TEST(ContentCoding, StopsABomb) {
  const std::string bomb = gzip(std::string(8 << 20, '0'));
  EXPECT_FALSE(decode("gzip", bomb, 4096, {.output = 1 << 20}));
  EXPECT_FALSE(decode("gzip", bomb, 4096, {.ratio = 10, .ratio_free = 1000}));
  EXPECT_TRUE(decode("gzip", bomb, 4096, {.ratio = 100000}));
}

}  // namespace

}  // namespace stockade::net
