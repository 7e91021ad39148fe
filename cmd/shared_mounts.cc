#include "cmd/shared_mounts.h"

#include "base/strings.h"
#include "exporter/mount_transfer.h"
#include "exporter/step.h"
#include "solver/ops/cache_mounts.h"

namespace kiln::cmd {

void BuildMounts::read_from(Place place) {
  readers_.push_back(std::make_unique<Reader>(std::move(place)));
}

BuildMounts::Filled BuildMounts::fill(const std::string& id, const std::string& path,
                                      std::stop_token stop) {
  for (const std::unique_ptr<Reader>& reader : readers_) {
    const Place& place = reader->from;
    if (reader->lost || !place.names.contain(id) || !place.usable()) continue;
    const auto to = Root::open(path);
    if (!to) return Filled::kNo;
    const auto fetched = fetch_mount({*place.transport, stop}, id, *to);
    if (fetched && *fetched == MountFetched::kYes) return Filled::kYes;
    if (fetched) continue;
    reader->lost = true;
    if (!stop.stop_requested())
      place.warn("importing cache mount " + quote(id) + " from " + place.transport->name(),
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
  for (const Place& place : writers_) {
    for (const std::string& id : used) {
      if (!place.names.contain(id) || !place.usable()) continue;
      const Status sent = send_one(place, id, stop);
      if (stop.stop_requested()) return;
      if (sent) continue;
      place.warn("exporting cache mount " + quote(id) + " to " + place.transport->name(),
                 sent.error());
      if (sent.error().code() == Code::kUnavailable) break;
    }
  }
}

Status BuildMounts::send_one(const Place& to, const std::string& id, const std::stop_token& stop) {
  ExportStep step("exporting cache mount " + quote(id) + " to " + to.transport->name(),
                  config_.progress);
  KILN_TRY_ASSIGN(const auto mount, step.watch(CacheMounts::look_at(config_.directory, id)));
  if (!mount) {
    step.log("another build uses it: it is not sent\n");
    step.done();
    return {};
  }
  KILN_TRY_ASSIGN(const Root from, step.watch(Root::open(mount->path)));
  KILN_TRY_ASSIGN(const MountSent sent, step.watch(send_mount({*to.transport, stop}, id, from)));
  step.log("sent " + std::to_string(sent.chunks) + " chunks, " + std::to_string(sent.bytes) +
           " bytes\n");
  step.done();
  return {};
}

}  // namespace kiln::cmd
