#include "cache/patience.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

#include "cache/patient_transport.h"
#include "oci/push.h"
#include "tests/fakes/fake_transport.h"
#include "tests/fakes/must.h"

namespace kiln::cache {
namespace {

using fake::code_of;
using fake::must;
using testing::HasSubstr;
using testing::SizeIs;
using namespace std::chrono_literals;

constexpr uint64_t kMiB = 1U << 20U;
constexpr PatienceAccount::Time kStart{};

TEST(PatienceAccount, CountsOnceWhatSeveralWaitFor) {
  PatienceAccount account(10s);
  account.begin(kStart + 1s);
  account.begin(kStart + 2s);
  account.end(kStart + 3s);
  account.begin(kStart + 4s);
  account.end(kStart + 5s);
  account.end(kStart + 6s);
  EXPECT_EQ(account.left(kStart + 6s), 5s);
}

TEST(PatienceAccount, CountsNothingThatNobodyWaitsFor) {
  PatienceAccount account(10s);
  EXPECT_FALSE(account.runs_out());
  account.begin(kStart + 100s);
  account.end(kStart + 101s);
  EXPECT_EQ(account.left(kStart + 1000s), 9s);
  EXPECT_FALSE(account.runs_out());
}

TEST(PatienceAccount, WaitsForBytesAtAModestPace) {
  PatienceAccount account(10s);
  account.begin(kStart);
  for (int second = 1; second <= 100; ++second) account.moved(kMiB, kStart + second * 1s);
  EXPECT_EQ(account.left(kStart + 100s), 9s) << "until the first came";
}

TEST(PatienceAccount, HalfThatPaceIsHalfForgiven) {
  PatienceAccount account(10s);
  account.begin(kStart);
  for (int second = 1; second <= 10; ++second) account.moved(kMiB / 2, kStart + second * 1s);
  EXPECT_EQ(account.left(kStart + 10s), 4500ms);
}

TEST(PatienceAccount, SilenceCountsHoweverMuchCameBefore) {
  PatienceAccount account(10s);
  account.begin(kStart);
  account.moved(1000 * kMiB, kStart);
  EXPECT_EQ(account.runs_out(), kStart + 11s);
  EXPECT_EQ(account.left(kStart + 4s), 7s);
  EXPECT_EQ(account.left(kStart + 100s), 0s);
}

// A server that several transports ask.
class PatientTransportTest : public testing::Test {
 protected:
  using Waits = PatientTransport::Waits;
  PatientTransport open(Waits waits = Waits::kAlways, std::chrono::milliseconds standstill = 1h) {
    return PatientTransport({server_, patience_, waits, standstill});
  }
  static oci::BlobContent content(const std::string& bytes) {
    return {oci::Descriptor{"type", Digest::of(bytes), bytes.size(), {}, {}},
            [bytes](uint64_t from) -> Result<std::unique_ptr<Source>> {
              return std::make_unique<StringSource>(bytes.substr(from));
            }};
  }
  static std::string fetch(CacheTransport& from, const std::string& bytes) {
    StringSink sink;
    return code_of(from.fetch(content(bytes).blob, sink, {}));
  }
  static std::string look_up(CacheTransport& in) {
    const std::vector<CacheKey> keys{CacheKey{Digest::of("key")}};
    return code_of(in.lookup(keys, {}));
  }
  static std::string publish(CacheTransport& to) {
    const Publication publication{CacheKey{Digest::of("key")}, "entry", {}};
    return code_of(to.publish(std::span(&publication, 1), {}));
  }

  std::shared_ptr<fake::FakeTransport> server_ = std::make_shared<fake::FakeTransport>();
  std::shared_ptr<Patience> patience_ = std::make_shared<Patience>(20ms);
};

TEST_F(PatientTransportTest, PassesOnWhatTheServerSays) {
  patience_ = std::make_shared<Patience>(1h);
  PatientTransport transport = open();
  must(transport.upload(content("blob"), {}));
  EXPECT_EQ(fetch(transport, "blob"), "ok");
  EXPECT_EQ(fetch(transport, "other"), "not_found");
  EXPECT_EQ(publish(transport), "ok");
  EXPECT_EQ(look_up(transport), "ok");
  EXPECT_FALSE(transport.lost());
}

// Whatever hangs uses up what all have together: nobody asks from there on.
TEST_F(PatientTransportTest, SilenceAtAnyUseEndsAllOfThem) {
  struct Row {
    const char* name;
    std::function<std::string(CacheTransport&)> call;
  };
  for (const Row& row : std::vector<Row>{
           {"lookup", look_up},
           {"fetch", [](CacheTransport& from) { return fetch(from, "blob"); }},
           {"upload", [](CacheTransport& to) { return code_of(to.upload(content("blob"), {})); }},
           {"publish", publish},
       }) {
    server_ = std::make_shared<fake::FakeTransport>();
    patience_ = std::make_shared<Patience>(20ms);
    server_->hangs = true;
    PatientTransport first = open(), second = open(), later = open(Waits::kLater);
    EXPECT_EQ(row.call(first), "unavailable") << row.name;
    EXPECT_THAT(patience_->lost().value().message(), HasSubstr("kept the build waiting for 20 ms"));
    const int asked = server_->asked;
    for (PatientTransport* const transport : {&first, &second, &later}) {
      EXPECT_TRUE(transport->lost()) << row.name;
      EXPECT_EQ(look_up(*transport), "unavailable") << row.name;
      EXPECT_EQ(fetch(*transport, "blob"), "unavailable") << row.name;
      EXPECT_EQ(publish(*transport), "unavailable") << row.name;
      EXPECT_EQ(code_of(transport->upload(content("blob"), {})), "unavailable") << row.name;
      EXPECT_EQ(code_of(transport->finish({})), "unavailable") << row.name;
    }
    EXPECT_EQ(server_->asked, asked) << row.name;
  }
}

TEST_F(PatientTransportTest, AnotherServerIsAnotherMatter) {
  server_->hangs = true;
  PatientTransport dead = open();
  EXPECT_EQ(look_up(dead), "unavailable");
  server_ = std::make_shared<fake::FakeTransport>();
  patience_ = std::make_shared<Patience>(1h);
  PatientTransport alive = open();
  EXPECT_EQ(look_up(alive), "ok");
}

TEST_F(PatientTransportTest, OneThatCannotBeReadIsGivenUpAndOneThatIsFullIsNot) {
  patience_ = std::make_shared<Patience>(1h);
  server_->broken = true;
  PatientTransport transport = open();
  EXPECT_EQ(publish(transport), "unavailable");
  EXPECT_FALSE(transport.lost());
  EXPECT_EQ(look_up(transport), "unavailable");
  EXPECT_TRUE(transport.lost());
  server_->broken = false;
  EXPECT_EQ(look_up(transport), "unavailable");
  EXPECT_THAT(patience_->lost().value().message(), HasSubstr("connection refused"));
}

TEST_F(PatientTransportTest, WhatNobodyWaitsForCostsNothingUntilTheBuildWaits) {
  server_->hangs = true;
  PatientTransport background = open(Waits::kLater);
  auto call = std::async(std::launch::async, [&] { return look_up(background); });
  server_->wait_until_asked(1);
  EXPECT_FALSE(patience_->lost());
  background.build_waits();
  EXPECT_EQ(call.get(), "unavailable");
  EXPECT_TRUE(patience_->lost());
}

TEST_F(PatientTransportTest, InTheBackgroundNothingStandsStill) {
  patience_ = std::make_shared<Patience>(1h);
  server_->hangs = true;
  for (const Waits waits : {Waits::kLater, Waits::kNever}) {
    PatientTransport background = open(waits, 5ms);
    EXPECT_EQ(code_of(background.upload(content("blob"), {})), "unavailable");
    EXPECT_FALSE(patience_->lost());
  }
}

TEST_F(PatientTransportTest, WhatMustSucceedIsTriedWhateverHappened) {
  patience_->give_up(Error(Code::kUnavailable, "gone"));
  PatientTransport transport = open(Waits::kNever);
  EXPECT_FALSE(transport.lost());
  EXPECT_EQ(publish(transport), "ok");
}

TEST_F(PatientTransportTest, AStopIsNoReasonToGiveUp) {
  patience_ = std::make_shared<Patience>(1h);
  server_->hangs = true;
  PatientTransport transport = open();
  std::stop_source stop;
  stop.request_stop();
  const std::vector<CacheKey> keys{CacheKey{Digest::of("key")}};
  EXPECT_EQ(code_of(transport.lookup(keys, stop.get_token())), "cancelled");
  EXPECT_FALSE(transport.lost());
}

}  // namespace
}  // namespace kiln::cache
