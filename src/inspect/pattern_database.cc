#include "inspect/pattern_database.h"

#include <hs/hs.h>
#include <sodium.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <new>

namespace stockade::inspect {

namespace {

using Digest = std::array<uint8_t, 16>;

struct Header {
  char library[40];
  Digest sources;
  uint64_t reserved;
};
static_assert(sizeof(Header) == kImageAlignment, "the database behind it must be aligned, too");

struct FreeDatabase {
  void operator()(hs_database_t* database) const { hs_free_database(database); }
};
struct FreeBytes {
  void operator()(char* bytes) const { std::free(bytes); }  // NOLINT: the library's allocator is malloc
};

Digest digest_of(const PatternSources& sources) {
  crypto_generichash_state state;
  Digest digest;
  crypto_generichash_init(&state, nullptr, 0, digest.size());
  const auto add = [&](const void* bytes, size_t size) {
    crypto_generichash_update(&state, static_cast<const uint8_t*>(bytes), size);
  };
  add(&sources.kind, sizeof sources.kind);
  for (size_t i = 0; i < sources.texts.size(); ++i) {
    const std::array<uint64_t, 3> numbers = {sources.texts[i].size(), sources.ids[i], sources.flags[i]};
    add(numbers.data(), sizeof numbers);
    add(sources.texts[i].data(), sources.texts[i].size());
  }
  crypto_generichash_final(&state, digest.data(), digest.size());
  return digest;
}

Header header_of(const PatternSources& sources) {
  Header header{};
  std::strncpy(header.library, hs_version(), sizeof header.library - 1);
  header.sources = digest_of(sources);
  return header;
}

std::expected<std::unique_ptr<hs_database_t, FreeDatabase>, PatternFault> compile_sources(
    const PatternSources& sources) {
  std::vector<const char*> texts;
  std::vector<size_t> sizes;
  for (const std::string& text : sources.texts) {
    texts.push_back(text.c_str());
    sizes.push_back(text.size());
  }
  const hs_platform_info_t generic{};
  const auto count = static_cast<unsigned>(texts.size());
  hs_database_t* database = nullptr;
  hs_compile_error_t* error = nullptr;
  const auto outcome = sources.kind == PatternSources::Kind::expressions
                           ? hs_compile_multi(texts.data(), sources.flags.data(), sources.ids.data(), count,
                                              HS_MODE_BLOCK, &generic, &database, &error)
                           : hs_compile_lit_multi(texts.data(), sources.flags.data(), sources.ids.data(), sizes.data(),
                                                  count, HS_MODE_BLOCK, &generic, &database, &error);
  if (outcome == HS_SUCCESS) return std::unique_ptr<hs_database_t, FreeDatabase>(database);
  PatternFault fault{error && error->message ? error->message : "no reason given", -1};
  if (error && error->expression >= 0) fault.id = static_cast<int>(sources.ids[static_cast<size_t>(error->expression)]);
  hs_free_compile_error(error);
  return std::unexpected(std::move(fault));
}

}  // namespace

void AlignedFree::operator()(std::byte* bytes) const { ::operator delete[](bytes, std::align_val_t{kImageAlignment}); }

ImageBuffer::ImageBuffer(size_t size)
    : bytes_(static_cast<std::byte*>(::operator new[](size, std::align_val_t{kImageAlignment}))), size_(size) {
  std::memset(bytes_.get(), 0, size);
}

void PatternSources::add(std::string text, size_t id, unsigned flag) {
  texts.push_back(std::move(text));
  ids.push_back(static_cast<unsigned>(id));
  flags.push_back(flag);
}

std::expected<PatternDatabase, PatternFault> PatternDatabase::compile(const PatternSources& sources) {
  auto compiled = compile_sources(sources);
  if (!compiled) return std::unexpected(std::move(compiled).error());
  char* bytes = nullptr;
  size_t length = 0, size = 0;
  if (hs_serialize_database(compiled->get(), &bytes, &length) != HS_SUCCESS)
    return std::unexpected(PatternFault{"the compiled patterns can't be serialised"});
  const std::unique_ptr<char, FreeBytes> serialised(bytes);
  compiled->reset();
  if (hs_serialized_database_size(bytes, length, &size) != HS_SUCCESS)
    return std::unexpected(PatternFault{"the compiled patterns have no size"});
  auto buffer = std::make_shared<ImageBuffer>(sizeof(Header) + size);
  const Header header = header_of(sources);
  std::memcpy(buffer->data(), &header, sizeof header);
  if (hs_deserialize_database_at(bytes, length, reinterpret_cast<hs_database_t*>(buffer->data() + sizeof header)) !=
      HS_SUCCESS)
    return std::unexpected(PatternFault{"the compiled patterns can't be read back"});
  PatternDatabase out(buffer->view());
  out.owned_ = std::move(buffer);
  return out;
}

Result<PatternDatabase> PatternDatabase::from_image(Image image) {
  Header header;
  if (image.size() <= sizeof header || reinterpret_cast<uintptr_t>(image.data()) % kImageAlignment != 0)
    return fail(ErrorKind::internal, "an image of compiled patterns is cut or not aligned");
  std::memcpy(&header, image.data(), sizeof header);
  header.library[sizeof header.library - 1] = '\0';
  if (std::string_view(header.library) != hs_version())
    return fail(ErrorKind::unavailable, "patterns that Vectorscan {} compiled; this is {}", header.library,
                hs_version());
  PatternDatabase out(image);
  size_t size = 0;
  if (hs_database_size(out.get(), &size) != HS_SUCCESS || sizeof header + size > image.size())
    return fail(ErrorKind::unavailable, "compiled patterns that Vectorscan does not take");
  return out;
}

std::expected<PatternDatabase, PatternFault> PatternDatabase::open(Image image, const PatternSources& sources) {
  const Header header = header_of(sources);
  if (image.size() > sizeof header && std::memcmp(image.data(), &header, sizeof header) == 0)
    if (auto ready = from_image(image)) return std::move(*ready);
  return compile(sources);
}

const hs_database* PatternDatabase::get() const {
  return reinterpret_cast<const hs_database*>(image_.data() + sizeof(Header));
}

}  // namespace stockade::inspect
