#include <chrono>
#include <optional>
#include <stdexcept>

#include "base/fs.h"
#include "base/process.h"
#include "base/strings.h"
#include "tests/unit/base/http_client_fixture.h"

namespace kiln {
namespace {

using fake::code_of;
using fake::must;
using namespace std::chrono_literals;

// A real TLS server with a certificate that nobody has signed, for as long as it lives.
class TlsServer {
 public:
  TlsServer() {
    must(run_captured(openssl({"req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                               "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                               "-keyout", key(), "-out", certificate()}),
                      "", 1U << 20U, {}));
    Pipe output = must(Pipe::create());
    ProcessSpec spec = openssl({"s_server", "-accept", "localhost:0", "-4", "-www", "-key", key(),
                                "-cert", certificate()});
    spec.out = output.write_end.get();
    server_ = must(Child::spawn(spec));
    output.write_end.reset();
    output_.emplace(std::move(output.read_end));
    read_port();
  }
  std::string url() const { return "https://localhost:" + port_ + "/"; }
  std::string certificate() const { return temp_.path() + "/cert.pem"; }

 private:
  std::string key() const { return temp_.path() + "/key.pem"; }
  static ProcessSpec openssl(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "openssl");
    ProcessSpec spec;
    spec.argv = std::move(arguments);
    spec.env = {"PATH=/usr/bin:/bin"};
    return spec;
  }
  // Reads up to the line "ACCEPT 127.0.0.1:4711".
  void read_port() {
    std::string text;
    std::byte byte[1];
    while (!text.ends_with('\n') || text.find("ACCEPT") == std::string::npos) {
      if (must(output_->read(byte)) == 0) throw std::runtime_error("openssl s_server: " + text);
      text.push_back(static_cast<char>(byte[0]));
    }
    port_ = trim(text.substr(text.rfind(':') + 1));
  }

  TempDir temp_ = must(TempDir::create(testing::TempDir(), "kiln-tls-"));
  std::optional<FdSource> output_;
  std::optional<Child> server_;
  std::string port_;
};

TEST_F(HttpClientTest, TlsIsVerifiedUnlessToldOtherwise) {
  if (!find_program("openssl", "/usr/bin:/bin")) GTEST_SKIP() << "needs the openssl program";
  const TlsServer tls;
  HttpRequest r;
  r.url = tls.url();
  EXPECT_EQ(code_of(send(r)), "permission_denied");
  r.ca_pem = must(read_file(tls.certificate(), 1 << 20));
  EXPECT_EQ(must(send(r)).status, 200);
  r.ca_pem.clear();
  EXPECT_EQ(code_of(send(r)), "permission_denied")
      << "a connection that was trusted once is not reused";
  r.insecure_tls = true;
  EXPECT_EQ(must(send(r)).status, 200);
  r.insecure_tls = false;
  EXPECT_EQ(code_of(send(r)), "permission_denied");
  r.ca_pem = "no certificate";
  EXPECT_EQ(code_of(send(r)), "permission_denied");
}

TEST_F(HttpClientTest, ATlsPeerThatStaysSilentTimesOut) {
  serve(fake::Response{.fault = fake::Fault::kStall, .silent = true});
  HttpRequest r = request();
  r.url.replace(0, 4, "https");
  r.header_timeout = 1s;
  EXPECT_EQ(code_of(send(r)), "unavailable");
}

}  // namespace
}  // namespace kiln
