#include "cmd/shared_mounts.h"

#include "base/strings.h"
#include "exporter/mount_transfer.h"
#include "exporter/step.h"
#include "solver/ops/cache_mounts.h"

namespace kiln::cmd {

void BuildMounts::read_from(std::shared_ptr<cache::CacheTransport> transport, MountNames names,
                            std::function<bool()> usable) {
  auto reader = std::make_unique<Reader>();
  reader->transport = std::move(transport);
  reader->names = std::move(names);
  reader->usable = std::move(usable);
  readers_.push_back(std::move(reader));
}

void BuildMounts::write_to(std::shared_ptr<cache::CacheTransport> transport, MountNames names,
                           std::function<bool()> usable) {
  writers_.push_back({std::move(transport), std::move(names), std::move(usable)});
}

BuildMounts::Filled BuildMounts::fill(const std::string& id, const std::string& path,
                                      std::stop_token stop) {
  for (const std::unique_ptr<Reader>& reader : readers_) {
    if (reader->lost || !reader->names.contain(id) || !reader->usable()) continue;
    const auto to = Root::open(path);
    if (!to) return Filled::kNo;
    const auto fetched = fetch_mount({*reader->transport, config_.patience, stop}, id, *to);
    if (fetched && *fetched == MountFetched::kYes) return Filled::kYes;
    if (fetched) continue;
    reader->lost = true;
    if (!stop.stop_requested())
      config_.warn("importing cache mount " + quote(id) + " from " + reader->transport->name(),
                   fetched.error());
    return Filled::kPartly;
  }
  return Filled::kNo;
}

void BuildMounts::on_use(const std::string& id) {
  used_.lock()->insert(id);
}

void BuildMounts::send(const std::stop_token& stop) {
  const std::set<std::string> used = *used_.lock();
  for (const Writer& writer : writers_) {
    for (const std::string& id : used) {
      if (!writer.names.contain(id) || !writer.usable()) continue;
      const Status sent = send_one(writer, id, stop);
      if (stop.stop_requested()) return;
      if (sent) continue;
      config_.warn("exporting cache mount " + quote(id) + " to " + writer.transport->name(),
                   sent.error());
      if (sent.error().code() == Code::kUnavailable) break;
    }
  }
}

Status BuildMounts::send_one(const Writer& writer, const std::string& id,
                             const std::stop_token& stop) {
  ExportStep step("exporting cache mount " + quote(id) + " to " + writer.transport->name(),
                  config_.progress);
  KILN_TRY_ASSIGN(const auto mount, step.watch(CacheMounts::look_at(config_.directory, id)));
  if (!mount) {
    step.log("another build uses it: it is not sent\n");
    step.done();
    return {};
  }
  KILN_TRY_ASSIGN(const Root from, step.watch(Root::open(mount->path)));
  KILN_TRY_ASSIGN(const MountSent sent,
                  step.watch(send_mount({*writer.transport, config_.patience, stop}, id, from)));
  step.log("sent " + std::to_string(sent.chunks) + " chunks, " + std::to_string(sent.bytes) +
           " bytes\n");
  step.done();
  return {};
}

}  // namespace kiln::cmd
