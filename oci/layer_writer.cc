#include <tbb/global_control.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <optional>
#include <vector>

#include "oci/block_codec.h"
#include "oci/compression.h"

namespace kiln::oci {
namespace {

// One block on its way: filled by the caller, hashed and compressed in any order, written in order.
// Its buffers are allocated when the slot is first used, so a small layer has one.
struct Slot {
  std::unique_ptr<std::byte[]> input, output;
  size_t input_bytes = 0, output_bytes = 0;
  uint32_t crc = 0;
  bool compressed = false;
};

// Blocks pass through three stages: hash (diff ID, in order), compress (any order, in parallel),
// output (in order; the store hashes the blob there). Block i lives in slot i % in_flight. Whoever
// has time - helpers on oneTBB, and the caller when it would have to wait - takes the next piece of
// work: so nobody waits for a thread, and one thread alone gets through.
//
// Invariants, under `mutex_`: next_output_, next_hash_ <= submitted_ <= retired() + in_flight; at
// most one thread is in the hash stage and one in the output stage; after an error no work is
// begun.
class Pipeline {
 public:
  Pipeline(CompressionOptions options, std::unique_ptr<BlobWriter> blob)
      : options_(options),
        shape_(block_shape(options.type)),
        blob_(std::move(blob)),
        frame_(options.type),
        slots_(shape_.in_flight) {}

  // The slot for the next block. Works off others while there is none free.
  Result<Slot*> claim() {
    std::unique_lock lock(mutex_);
    KILN_TRY(work_until(lock, [&] { return submitted_ - retired() < slots_.size(); }));
    Slot& slot = slots_[submitted_ % slots_.size()];
    if (!slot.input) {
      slot.input = std::make_unique_for_overwrite<std::byte[]>(shape_.input_bytes);
      if (compresses()) {
        slot.output = std::make_unique_for_overwrite<std::byte[]>(shape_.output_bytes);
      }
    }
    slot.input_bytes = 0;
    slot.compressed = !compresses();
    return &slot;
  }

  // The claimed slot is full.
  void submit() {
    const std::lock_guard lock(mutex_);
    ++submitted_;
    if (!compresses()) next_hash_ = next_compress_ = submitted_;
  }

  // True: one more helper would find work, and is counted.
  bool wants_help(size_t most) {
    const std::lock_guard lock(mutex_);
    if (error_ || helpers_ >= most) return false;
    ++helpers_;
    return true;
  }

  // Work of a helper: until there is none.
  void help() {
    std::unique_lock lock(mutex_);
    while (step(lock)) {
    }
    --helpers_;
  }

  Status drain() {
    std::unique_lock lock(mutex_);
    return work_until(lock, [&] { return retired() == submitted_; });
  }

  // No work begins after this and none is under way: what the stages refer to may go.
  void close() {
    std::unique_lock lock(mutex_);
    if (!error_) error_ = Error(Code::kCancelled, "the layer was not finished");
    changed_.wait(lock, [&] { return working_ == 0; });
    blob_.reset();
    slots_
        .clear();  // a helper that has yet to start keeps this object, but neither file nor memory
  }

  // Everything is drained: nobody else is at work.
  Result<LayerBlob> finish() {
    KILN_TRY(blob_->write(as_bytes(frame_.end())));
    KILN_TRY_ASSIGN(const auto committed, blob_->commit(std::nullopt));
    Descriptor descriptor{std::string(layer_media_type(options_.type)),
                          committed.digest,
                          committed.size,
                          std::nullopt,
                          {}};
    return LayerBlob{std::move(descriptor), compresses() ? diff_.finish() : committed.digest};
  }

  const BlockShape& shape() const { return shape_; }

 private:
  bool compresses() const { return options_.type != Compression::kUncompressed; }
  uint64_t retired() const { return std::min(next_hash_, next_output_); }

  template <class Done>
  Status work_until(std::unique_lock<std::mutex>& lock, const Done& done) {
    while (!error_ && !done()) {
      if (!step(lock)) changed_.wait(lock);
    }
    if (error_) return tl::unexpected(*error_);
    return {};
  }

  // Does one piece of work with the lock released. False: there is none at the moment. Output comes
  // first because it frees slots, then the hash because only one thread can do it.
  bool step(std::unique_lock<std::mutex>& lock) {
    if (error_) return false;
    if (!outputting_ && next_output_ < submitted_ && slot(next_output_).compressed) {
      return run(
          lock, [&] { return output(slot(next_output_)); }, outputting_, next_output_);
    }
    if (!hashing_ && next_hash_ < submitted_) {
      return run(
          lock, [&] { return hash(slot(next_hash_)); }, hashing_, next_hash_);
    }
    if (next_compress_ < submitted_) return compress_next(lock);
    return false;
  }

  Slot& slot(uint64_t block) { return slots_[block % slots_.size()]; }

  // A stage that one thread at a time is in: `busy` says so, `next` is its block.
  template <class Stage>
  bool run(std::unique_lock<std::mutex>& lock, const Stage& stage, bool& busy, uint64_t& next) {
    busy = true;
    ++working_;
    lock.unlock();
    Status done = stage();
    lock.lock();
    --working_;
    busy = false;
    ++next;
    note(std::move(done));
    return true;
  }

  bool compress_next(std::unique_lock<std::mutex>& lock) {
    Slot& mine = slot(next_compress_++);
    std::unique_ptr<BlockCodec> codec;
    if (!codecs_.empty()) {
      codec = std::move(codecs_.back());
      codecs_.pop_back();
    }
    ++working_;
    lock.unlock();
    if (!codec) codec = BlockCodec::create(options_);
    Status done = compress(*codec, mine);
    lock.lock();
    --working_;
    codecs_.push_back(std::move(codec));
    mine.compressed = true;
    note(std::move(done));
    return true;
  }

  void note(Status done) {
    if (!done && !error_) error_ = std::move(done).error();
    changed_.notify_all();
  }

  Status hash(Slot& slot) {
    diff_.update(std::span(slot.input.get(), slot.input_bytes));
    return {};
  }

  Status compress(BlockCodec& codec, Slot& slot) const {
    KILN_TRY_ASSIGN(const CompressedBlock block,
                    codec.compress(std::span(slot.input.get(), slot.input_bytes),
                                   std::span(slot.output.get(), shape_.output_bytes)));
    slot.output_bytes = block.bytes;
    slot.crc = block.crc;
    return {};
  }

  Status output(Slot& slot) {
    if (!compresses()) return blob_->write(std::span(slot.input.get(), slot.input_bytes));
    if (!begun_) KILN_TRY(blob_->write(as_bytes(frame_.begin())));
    begun_ = true;
    if (options_.type == Compression::kGzip) frame_.add(slot.input_bytes, slot.crc);
    return blob_->write(std::span(slot.output.get(), slot.output_bytes));
  }

  // Constant after construction.
  const CompressionOptions options_;
  const BlockShape shape_;
  // Of the output stage.
  std::unique_ptr<BlobWriter> blob_;
  StreamFrame frame_;
  bool begun_ = false;
  // Of the hash stage.
  Hasher diff_;

  std::mutex
      mutex_;  // protects all below; the slots' contents belong to the stage that works on them
  std::condition_variable changed_;
  std::vector<Slot> slots_;
  std::vector<std::unique_ptr<BlockCodec>> codecs_;  // idle
  uint64_t submitted_ = 0, next_hash_ = 0, next_compress_ = 0, next_output_ = 0;
  bool hashing_ = false, outputting_ = false;
  size_t helpers_ = 0;  // on their way or at work
  size_t working_ = 0;  // pieces of work under way
  std::optional<Error> error_;
};

// What oneTBB has beside the caller; asking it for more prints a warning.
int other_threads() {
  const size_t allowed =
      tbb::global_control::active_value(tbb::global_control::max_allowed_parallelism);
  return static_cast<int>(std::max<size_t>(allowed, 1)) - 1;
}

class PipelinedWriter : public LayerWriter {
 public:
  PipelinedWriter(std::shared_ptr<Pipeline> pipeline, std::stop_token stop)
      : pipeline_(std::move(pipeline)), stop_(std::move(stop)) {}
  ~PipelinedWriter() override { pipeline_->close(); }

  Status write(std::span<const std::byte> data) override {
    KILN_CHECK(!finished_);
    while (!data.empty()) {
      if (slot_ == nullptr) KILN_TRY(next_slot());
      const size_t room = pipeline_->shape().input_bytes - slot_->input_bytes;
      const size_t count = std::min(room, data.size());
      std::memcpy(slot_->input.get() + slot_->input_bytes, data.data(), count);
      slot_->input_bytes += count;
      data = data.subspan(count);
      if (count == room) submit();
    }
    return {};
  }

  Result<LayerBlob> finish() override {
    KILN_CHECK(!finished_);
    finished_ = true;
    if (stop_.stop_requested()) return fail(Code::kCancelled, "write layer: cancelled");
    // The last block is worked off here: a layer of one block starts no thread.
    if (slot_ == nullptr && !any_) KILN_TRY(next_slot());
    if (slot_ != nullptr) pipeline_->submit();
    KILN_TRY(pipeline_->drain());
    return pipeline_->finish();
  }

 private:
  Status next_slot() {
    if (stop_.stop_requested()) return fail(Code::kCancelled, "write layer: cancelled");
    KILN_TRY_ASSIGN(slot_, pipeline_->claim());
    any_ = true;
    return {};
  }

  void submit() {
    slot_ = nullptr;
    pipeline_->submit();
    const int most = other_threads();
    if (most == 0 || !pipeline_->wants_help(static_cast<size_t>(most))) return;
    // No slot is reserved for the caller: it never waits inside the arena.
    if (!arena_) arena_.emplace(most, 0);
    arena_->enqueue([pipeline = pipeline_] { pipeline->help(); });
  }

  std::shared_ptr<Pipeline>
      pipeline_;  // shared with helpers that have yet to see that it is closed
  std::stop_token stop_;
  std::optional<tbb::task_arena> arena_;
  Slot* slot_ = nullptr;  // being filled
  bool any_ = false;      // a slot was claimed
  bool finished_ = false;
};

}  // namespace

Result<std::unique_ptr<LayerWriter>> LayerWriter::create(ContentStore& store, const Lease& lease,
                                                         CompressionOptions options,
                                                         std::stop_token stop) {
  KILN_TRY(check_options(options));
  KILN_TRY_ASSIGN(auto blob, store.writer(lease));
  auto pipeline = std::make_shared<Pipeline>(options, std::move(blob));
  return std::make_unique<PipelinedWriter>(std::move(pipeline), std::move(stop));
}

}  // namespace kiln::oci
