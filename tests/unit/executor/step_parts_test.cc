// The small pure parts of a step: environment, limits, what a runtime's log means, what a packet
// asks for.
#include <gtest/gtest.h>
#include <linux/capability.h>

#include "solver/executor/base64.h"
#include "solver/executor/net_namespace.h"
#include "solver/executor/network.h"
#include "solver/executor/runtime.h"
#include "solver/executor/step_environment.h"
#include "solver/executor/ulimits.h"
#include "tests/fakes/must.h"

namespace kiln {
namespace {

using Strings = std::vector<std::string>;

TEST(StepEnvironmentTest, OrderIsKeptAndHomeIsAddedLast) {
  llb::ExecMeta meta;
  meta.env = {"B=1", "A=2"};
  EXPECT_EQ(step_environment(meta, {}, "/root"), (Strings{"B=1", "A=2", "HOME=/root"}));
  meta.env = {"HOME=/mine"};
  EXPECT_EQ(step_environment(meta, {}, "/root"), Strings{"HOME=/mine"});
}

TEST(StepEnvironmentTest, ProxiesComeInBothSpellingsAndYieldToTheImage) {
  llb::ExecMeta meta;
  meta.env = {"http_proxy=image", "HOME=/"};
  meta.proxy_env.emplace();
  meta.proxy_env->http_proxy = "proxy";
  meta.proxy_env->no_proxy = "lan";
  EXPECT_EQ(
      step_environment(meta, {}, "/"),
      (Strings{"http_proxy=image", "HOME=/", "HTTP_PROXY=proxy", "NO_PROXY=lan", "no_proxy=lan"}));
}

TEST(StepEnvironmentTest, ASecretTakesThePlaceOfAVariable) {
  llb::ExecMeta meta;
  meta.env = {"TOKEN=old", "TOKENS=other", "HOME=/"};
  EXPECT_EQ(step_environment(meta, {"TOKEN=s=e"}, "/"),
            (Strings{"TOKENS=other", "HOME=/", "TOKEN=s=e"}));
}

TEST(UlimitsTest, NamesAndOrderAreChecked) {
  constexpr uint64_t kAll = ~0ULL;
  fake::must(check_ulimits({{"nofile", 10, 20}, {"NPROC", 5, -1}, {"core", -1, -1}}, kAll));
  EXPECT_EQ(fake::message_of(check_ulimits({{"nofiles", 1, 1}}, kAll)),
            "unknown ulimit \"nofiles\" (did you mean nofile?)");
  EXPECT_EQ(fake::code_of(check_ulimits({{"nofile", 20, 10}}, kAll)), "invalid_argument");
  EXPECT_EQ(fake::code_of(check_ulimits({{"nofile", -1, 10}}, kAll)), "invalid_argument");
}

TEST(UlimitsTest, WithoutThePrivilegeHardLimitsOnlyGoDown) {
  constexpr uint64_t kNone = 0;
  fake::must(check_ulimits({{"nofile", 1, 1}}, kNone));
  EXPECT_EQ(fake::code_of(check_ulimits({{"nofile", 1, 1LL << 40}}, kNone)), "invalid_argument");
  fake::must(check_ulimits({{"nofile", 1, 1LL << 40}}, 1ULL << CAP_SYS_RESOURCE));
}

TEST(RuntimeErrorTest, TheLogTellsWhatFailed) {
  struct Case {
    const char* log;
    const char* code;  // "": no error
  };
  const Case cases[] = {
      {"", ""},
      {"{\"msg\":\"cgroup is gone\",\"level\":\"warning\"}\n", ""},
      {"not json at all\n", ""},
      {R"({"msg":"executable file `/bin/x` not found in $PATH: No such file","level":"error"})",
       "not_found"},
      {R"({"msg":"exec: \"/bin/x\": stat /bin/x: no such file or directory","level":"error"})",
       "not_found"},
      {R"({"msg":"exec: \"/bin/x\": permission denied","level":"error"})", "permission_denied"},
      {R"({"msg":"open executable: Operation not permitted","level":"error"})",
       "permission_denied"},
      {R"({"msg":"exec /bin/x: exec format error","level":"error"})", "invalid_argument"},
      {R"({"msg":"cannot mount `proc`","level":"error"})", "internal"},
  };
  for (const Case& c : cases) {
    const auto error = runtime_error(c.log, "/bin/x");
    EXPECT_EQ(error ? std::string(to_string(error->code())) : "", c.code) << c.log;
  }
}

TEST(UplinksTest, DefaultRoutesDecide) {
  const char* header = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\n";
  const char* route = "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n";
  const char* local = "eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";
  EXPECT_TRUE(parse_uplinks(std::string(header) + route, "").ipv4);
  EXPECT_FALSE(parse_uplinks(std::string(header) + local, "").any());
  const std::string zero(32, '0');
  const auto v6 = [&](const char* flags, const char* device) {
    return parse_uplinks("", zero + " 00 " + zero + " 00 " + zero + " 00000400 00000001 00000000 " +
                                 flags + "     " + device + "\n")
        .ipv6;
  };
  EXPECT_TRUE(v6("00000003", "eth0"));
  EXPECT_FALSE(v6("00200200", "lo"));
  EXPECT_FALSE(v6("00000200", "eth0")) << "rejected";
}

std::vector<std::byte> frame(std::initializer_list<int> start, size_t size) {
  std::vector<std::byte> out;
  for (const int byte : start) out.push_back(static_cast<std::byte>(byte));
  out.resize(size);
  return out;
}

TEST(WantsUplinkTest, QuestionsToOthersDoAndChatterDoesNot) {
  const std::initializer_list<int> arp = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2,
                                          0,    0,    0,    0,    1,    8,    6};
  const std::initializer_list<int> ipv4 = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0};
  const std::initializer_list<int> multicast4 = {1, 0, 0x5e, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0};
  const std::initializer_list<int> multicast6 = {0x33, 0x33, 0, 0, 0, 2,    2,
                                                 0,    0,    0, 0, 1, 0x86, 0xdd};
  EXPECT_TRUE(wants_uplink(frame(arp, 42)));
  EXPECT_TRUE(wants_uplink(frame(ipv4, 60)));
  EXPECT_FALSE(wants_uplink(frame(multicast4, 60)));
  EXPECT_FALSE(wants_uplink(frame(ipv4, 13))) << "cut";
  auto solicitation = frame(multicast6, 86);
  EXPECT_FALSE(wants_uplink(solicitation));
  solicitation[20] = std::byte{58};
  solicitation[54] = std::byte{135};
  EXPECT_FALSE(wants_uplink(solicitation)) << "of its own address: no source";
  solicitation[22] = std::byte{0xfd};
  EXPECT_TRUE(wants_uplink(solicitation));
  solicitation[54] = std::byte{133};
  EXPECT_FALSE(wants_uplink(solicitation)) << "a router solicitation";
}

TEST(Base64Test, PaddingIsRight) {
  EXPECT_EQ(base64(""), "");
  EXPECT_EQ(base64("f"), "Zg==");
  EXPECT_EQ(base64("fo"), "Zm8=");
  EXPECT_EQ(base64("foo"), "Zm9v");
  EXPECT_EQ(base64(std::string("\xff\x00\xfe", 3)), "/wD+");
}

}  // namespace
}  // namespace kiln
