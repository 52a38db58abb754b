#include "net/content_coding.h"

#include <brotli/encode.h>
#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

namespace stockade::net {
namespace {

using namespace std::string_literals;
using enum ContentCoding;

std::string deflated(std::string_view text, int window) {
  z_stream z{};
  deflateInit2(&z, 9, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&z, text.size()) + 64, '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  z.avail_in = static_cast<uInt>(text.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(::deflate(&z, Z_FINISH), Z_STREAM_END);
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}
std::string gzipped(std::string_view text) { return deflated(text, 31); }
std::string brotlied(std::string_view text) {
  size_t size = BrotliEncoderMaxCompressedSize(text.size()) + 64;
  std::string out(size, '\0');
  EXPECT_TRUE(BrotliEncoderCompress(5, 22, BROTLI_MODE_GENERIC, text.size(),
                                    reinterpret_cast<const uint8_t*>(text.data()), &size,
                                    reinterpret_cast<uint8_t*>(out.data())));
  out.resize(size);
  return out;
}
std::string zstded(std::string_view text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
  return out;
}
std::string encoded(ContentCoding coding, std::string_view text) {
  switch (coding) {
    case gzip:
      return gzipped(text);
    case ContentCoding::deflate:
      return deflated(text, 15);
    case brotli:
      return brotlied(text);
    case zstd:
      return zstded(text);
  }
  return {};
}

struct Decoded {
  std::string text;
  std::string error;
  std::optional<ErrorKind> kind;
};
Decoded decoded(const std::vector<ContentCoding>& codings, std::string_view bytes, size_t piece = SIZE_MAX,
                const DecodeLimits& limits = {}) {
  Decoded result;
  auto decoder = ContentDecoder::make(codings, limits).value();
  const auto note = [&](const Result<void>& done) {
    if (done) return true;
    result.error = done.error().message();
    result.kind = done.error().kind();
    return false;
  };
  while (!bytes.empty()) {
    const auto one = bytes.substr(0, piece);
    if (!note(decoder.decode(one, result.text))) return result;
    bytes.remove_prefix(one.size());
  }
  note(decoder.finish());
  return result;
}

std::string text_of(size_t size) {
  std::string text;
  for (uint64_t i = 1; text.size() < size; i = i * 6364136223846793005u + 1442695040888963407u)
    text += "word" + std::to_string(i >> 50) + " ";
  text.resize(size);
  return text;
}

TEST(ContentCoding, DecodesEachCodingHoweverItIsCut) {
  for (size_t size : {0, 1, 100, 32 * 1024, 300'000}) {
    const std::string text = text_of(size);
    for (const auto coding : {gzip, ContentCoding::deflate, brotli, zstd}) {
      const std::string bytes = encoded(coding, text);
      for (size_t piece : {size_t{1}, size_t{7}, size_t{1000}, SIZE_MAX}) {
        if (size > 100'000 && piece < 7) continue;
        const auto result = decoded({coding}, bytes, piece);
        EXPECT_EQ(result.error, "") << coding_name(coding) << " " << size << " " << piece;
        EXPECT_TRUE(result.text == text) << coding_name(coding) << " " << size << " " << piece;
      }
    }
    EXPECT_TRUE(decoded({ContentCoding::deflate}, deflated(text, -15), 1).text == text) << "without the zlib header";
  }
}

TEST(ContentCoding, DecodesChains) {
  const std::string text = text_of(100'000);
  for (const auto first : {gzip, ContentCoding::deflate, brotli, zstd})
    for (const auto second : {gzip, ContentCoding::deflate, brotli, zstd}) {
      const std::string bytes = encoded(second, encoded(first, text));
      for (size_t piece : {size_t{13}, SIZE_MAX}) {
        const auto result = decoded({first, second}, bytes, piece);
        EXPECT_EQ(result.error, "");
        EXPECT_TRUE(result.text == text);
      }
    }
  EXPECT_EQ(decoded({}, "plain").text, "plain");
}

TEST(ContentCoding, RefusesABodyThatEndsEarly) {
  const std::string text = text_of(5000);
  for (const auto coding : {gzip, ContentCoding::deflate, brotli, zstd}) {
    const std::string bytes = encoded(coding, text);
    for (size_t size = 1; size < bytes.size(); size += size < 20 || size + 20 > bytes.size() ? 1 : 97)
      EXPECT_NE(decoded({coding}, bytes.substr(0, size)).error, "") << coding_name(coding) << " " << size;
    EXPECT_EQ(decoded({coding}, "").error, "") << "no body at all";
  }
}

TEST(ContentCoding, RefusesBytesBehindTheEnd) {
  for (const auto coding : {gzip, ContentCoding::deflate, brotli, zstd})
    for (size_t piece : {size_t{1}, SIZE_MAX}) {
      const auto result = decoded({coding}, encoded(coding, "text") + "tail", piece);
      EXPECT_NE(result.error, "") << coding_name(coding);
      EXPECT_EQ(result.kind, ErrorKind::protocol);
    }
}

TEST(ContentCoding, RefusesWhatIsDamaged) {
  const std::string text = text_of(5000);
  for (const auto coding : {gzip, ContentCoding::deflate}) {  // they have check sums
    const std::string bytes = encoded(coding, text);
    for (size_t i = 2; i < bytes.size(); i += 61) {
      std::string damaged = bytes;
      damaged[i] = static_cast<char>(damaged[i] ^ 0x10);
      const auto result = decoded({coding}, damaged);
      EXPECT_TRUE(!result.error.empty() || result.text == text) << i;
    }
  }
  for (const auto coding : {gzip, ContentCoding::deflate, brotli, zstd})
    EXPECT_NE(decoded({coding}, "\xff\xff this is not it at all").error, "") << coding_name(coding);
}

TEST(ContentCoding, ReadsARowOfGzipMembersAndOfZstdFrames) {
  for (size_t piece : {size_t{1}, SIZE_MAX}) {
    EXPECT_EQ(decoded({gzip}, gzipped("one ") + gzipped("") + gzipped("two"), piece).text, "one two");
    EXPECT_EQ(decoded({zstd}, zstded("one ") + zstded("") + zstded("two"), piece).text, "one two");
  }
}

TEST(ContentCoding, RefusesSkippableZstdFrames) {
  const std::string skippable = "\x50\x2a\x4d\x18\x06\0\0\0secret"s;
  for (size_t piece : {size_t{1}, SIZE_MAX}) {
    EXPECT_NE(decoded({zstd}, skippable + zstded("x"), piece).error, "");
    EXPECT_NE(decoded({zstd}, zstded("x") + skippable, piece).error, "");
  }
}

TEST(ContentCoding, RefusesAZstdWindowThatIsTooLarge) {
  ZSTD_CCtx* context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, 25);
  ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0);
  std::string bytes(1000, '\0');
  const std::string text = "text";
  ZSTD_inBuffer in{text.data(), text.size(), 0};
  ZSTD_outBuffer out{bytes.data(), bytes.size(), 0};
  ZSTD_compressStream2(context, &out, &in, ZSTD_e_flush);
  ZSTD_inBuffer none{nullptr, 0, 0};
  ZSTD_compressStream2(context, &out, &none, ZSTD_e_end);
  bytes.resize(out.pos);
  ZSTD_freeCCtx(context);
  EXPECT_NE(decoded({zstd}, bytes).error, "");
  EXPECT_EQ(decoded({zstd}, bytes, SIZE_MAX, {.zstd_window_log = 25}).text, text);
}

TEST(ContentCoding, StopsABomb) {
  const std::string zeros(32 * 1024 * 1024, '\0');
  for (const auto coding : {gzip, ContentCoding::deflate, brotli, zstd}) {
    const std::string bomb = encoded(coding, zeros);
    const auto by_ratio = decoded({coding}, bomb);
    EXPECT_EQ(by_ratio.kind, ErrorKind::limit) << coding_name(coding);
    const auto by_size = decoded({coding}, bomb, SIZE_MAX, {.output = 2'000'000, .ratio = 1'000'000});
    EXPECT_EQ(by_size.kind, ErrorKind::limit) << coding_name(coding);
    EXPECT_LE(by_size.text.size(), 2'000'000u);
  }
  // A bomb in a bomb: a few hundred bytes for 32 MiB.
  const std::string nested = gzipped(gzipped(zeros));
  EXPECT_LT(nested.size(), 1000u);
  EXPECT_EQ(decoded({gzip, gzip}, nested).kind, ErrorKind::limit);
  EXPECT_LE(decoded({gzip, gzip}, nested).text.size(), 1024u * 1024);
  // The same size is fine where it comes from as many bytes.
  EXPECT_EQ(decoded({gzip}, gzipped(text_of(4'000'000))).error, "");
}

TEST(ContentCoding, GivesNothingAfterAnError) {
  auto decoder = ContentDecoder::make({gzip}).value();
  std::string out;
  EXPECT_FALSE(decoder.decode("not gzip", out));
  EXPECT_FALSE(decoder.decode(gzipped("x"), out));
  EXPECT_FALSE(decoder.finish());
  EXPECT_EQ(out, "");
}

TEST(ContentCoding, ReadsTheField) {
  const auto names = [](std::string_view value) {
    std::string out;
    const auto codings = parse_content_codings(value);
    if (!codings) return "refused"s;
    for (const auto coding : *codings) out.append(coding_name(coding)).append(" ");
    return out;
  };
  EXPECT_EQ(names("gzip"), "gzip ");
  EXPECT_EQ(names("GZIP"), "gzip ");
  EXPECT_EQ(names("x-gzip"), "gzip ");
  EXPECT_EQ(names("gzip, br"), "gzip br ");
  EXPECT_EQ(names(" deflate ,\tzstd "), "deflate zstd ");
  EXPECT_EQ(names("identity"), "");
  EXPECT_EQ(names(""), "");
  EXPECT_EQ(names("gzip, gzip, gzip"), "gzip gzip gzip ");
  EXPECT_EQ(names("gzip, gzip, gzip, gzip"), "refused");
  EXPECT_EQ(names("compress"), "refused");
  EXPECT_EQ(names("gzip;q=1"), "refused");
  EXPECT_EQ(parse_content_codings("dcb").error().kind(), ErrorKind::unavailable);
  EXPECT_FALSE(ContentDecoder::make({gzip, gzip, gzip, gzip}));
}

TEST(ContentCoding, EncodesGzip) {
  GzipEncoder encoder;
  std::string bytes, out;
  ASSERT_TRUE(encoder.encode("event ", bytes, true));
  auto decoder = ContentDecoder::make({gzip}).value();
  ASSERT_TRUE(decoder.decode(bytes, out));
  EXPECT_EQ(out, "event ") << "flushed";
  std::string rest;
  ASSERT_TRUE(encoder.encode(text_of(100'000), rest));
  ASSERT_TRUE(encoder.finish(rest));
  ASSERT_TRUE(decoder.decode(rest, out));
  ASSERT_TRUE(decoder.finish());
  EXPECT_TRUE(out == "event " + text_of(100'000));
  EXPECT_EQ(decoder.bytes_out(), out.size());
  GzipEncoder empty;
  std::string nothing;
  ASSERT_TRUE(empty.finish(nothing));
  EXPECT_EQ(decoded({gzip}, nothing).error, "");
}

}  // namespace
}  // namespace stockade::net
