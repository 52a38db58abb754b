#include "event/chain_writer.h"

#include <algorithm>
#include <utility>

#include "event/private_file.h"

namespace stockade::event {
namespace {

constexpr uint64_t kStep = 16 * 1024;  // fallocate(2) costs 6 µs: once for some forty records
// What a finished log may keep past its end: truncating costs up to 4 ms on ext4, more than a whole short run.
constexpr uint64_t kLeftOver = 32 * 1024;
constexpr const char* kReserveName = "reserve";

std::unexpected<Error> disk_full(Error&& cause) {
  return std::unexpected(
      std::move(cause).context("keep room for the end of the audit log").hint("free space where the run's state lies"));
}

}  // namespace

ChainWriter::ChainWriter(Fd file, int directory, std::string run, uint64_t size, uint64_t next_seq, const Digest& prev)
    : file_(std::move(file)),
      directory_(directory),
      run_(std::move(run)),
      size_(size),
      next_seq_(next_seq),
      prev_(prev),
      allocated_(size) {}

Result<void> ChainWriter::append(Event& event, WallTime now, Use use, const SigningKey* signer) {
  if (failed_ && use == Use::normal)
    return std::unexpected(Error(ErrorKind::unavailable, "the audit log takes no more events after a failed write"));
  event.seq = next_seq_;
  event.time = std::chrono::floor<std::chrono::microseconds>(now);
  event.run = run_;
  event.prev = prev_;
  const std::string body = encode_body(event);
  event.hash = sha256(body);
  if (signer) {
    STOCKADE_ASSIGN(event.signature, signer->sign(signed_message(event.hash)));
  }
  const std::string line = encode_line(body, event);
  if (use == Use::normal)
    STOCKADE_TRY(make_room(line.size()));
  else
    give_up_reserve_file();
  STOCKADE_TRY(write_line(line));
  prev_ = event.hash;
  ++next_seq_;
  return {};
}

Result<void> ChainWriter::reserve(uint64_t bytes) {
  reserve_ = std::max(reserve_, bytes);
  return make_room(0);
}

Result<void> ChainWriter::make_room(uint64_t line_bytes) {
  const uint64_t wanted = size_ + line_bytes + reserve_;
  if (wanted <= allocated_) return {};
  if (reserve_file_) return extend_reserve_file(reserve_);
  const uint64_t end = (wanted / kStep + 1) * kStep;
  int status = 0;
  do {
    status = ::fallocate(file_.get(), FALLOC_FL_KEEP_SIZE, static_cast<off_t>(allocated_),
                         static_cast<off_t>(end - allocated_));
  } while (status < 0 && errno == EINTR);
  if (status == 0) {
    allocated_ = end;
    return {};
  }
  if (errno == EOPNOTSUPP || errno == ENOSYS) return extend_reserve_file(reserve_);
  failed_ = true;
  return disk_full(Error::from_errno("allocate space"));
}

Result<void> ChainWriter::extend_reserve_file(uint64_t bytes) {
  if (!reserve_file_) {
    auto opened = open_private_file(directory_, kReserveName, O_WRONLY | O_CREAT | O_APPEND | O_TRUNC);
    if (!opened) return std::unexpected(std::move(opened).error());
    reserve_file_ = std::move(*opened);
  }
  const std::string zeros(4096, '\0');
  for (; reserve_file_size_ < bytes; reserve_file_size_ += zeros.size()) {
    if (auto written = write_all(reserve_file_.get(), zeros); !written) {
      failed_ = true;
      return disk_full(std::move(written).error());
    }
  }
  return {};
}

Result<void> ChainWriter::write_line(std::string_view line) {
  if (auto written = write_all(file_.get(), line); !written) {
    failed_ = true;
    // A part of the line may be there; without it the log ends with its last whole record.
    if (::ftruncate(file_.get(), static_cast<off_t>(size_)) < 0)
      return fail_errno("take back a partial record after: {}", written.error().message());
    allocated_ = size_;
    return std::unexpected(std::move(written).error().context("append to the audit log"));
  }
  size_ += line.size();
  return {};
}

void ChainWriter::give_up_reserve_file() {
  if (std::exchange(closing_, true)) return;
  reserve_file_.reset();
  ::unlinkat(directory_, kReserveName, 0);  // also one that a dead writer left
}

void ChainWriter::release_reserve() {
  reserve_ = 0;
  give_up_reserve_file();
  // Truncating to the same size gives back the blocks past the end (ext4, xfs, tmpfs). Where it fails the file only
  // takes more space than it shows.
  if (allocated_ > size_ + kLeftOver && ::ftruncate(file_.get(), static_cast<off_t>(size_)) == 0) allocated_ = size_;
}

}  // namespace stockade::event
