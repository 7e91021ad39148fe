// Tests that mount do so in a mount namespace of their own. It is entered before any test starts a
// thread; tests find out by mounting whether that worked.
#include <gtest/gtest.h>

#include <cstdio>

#include "snapshotter/mount.h"

namespace kiln {
namespace {

class MountEnvironment : public testing::Environment {
 public:
  void SetUp() override {
    if (const Status entered = enter_private_mount_namespace(); !entered)
      std::fprintf(stderr, "%s\n", entered.error().to_string().c_str());
  }
};

const auto* const kEnvironment = testing::AddGlobalTestEnvironment(new MountEnvironment);

}  // namespace
}  // namespace kiln
