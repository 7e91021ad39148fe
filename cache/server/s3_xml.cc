#include "cache/server/s3_xml.h"

#include <expat.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "base/strings.h"

namespace kiln::server {
namespace {

constexpr size_t kMaxXmlDepth = 8;
constexpr size_t kMaxXmlBytes = 8U << 20U;

struct XmlReader {
  XML_Parser parser;
  std::vector<XmlElement> open = {};  // from the root down
  std::optional<XmlElement> root = {};
};

XmlReader& reader_of(void* data) {
  return *static_cast<XmlReader*>(data);
}

void on_start(void* data, const XML_Char* name, const XML_Char**) {
  XmlReader& reader = reader_of(data);
  std::string_view local = name;
  local.remove_prefix(local.rfind(':') == std::string_view::npos ? 0 : local.rfind(':') + 1);
  if (reader.open.size() >= kMaxXmlDepth) (void)XML_StopParser(reader.parser, XML_FALSE);
  reader.open.push_back({std::string(local), ""});
}

void on_end(void* data, const XML_Char*) {
  XmlReader& reader = reader_of(data);
  XmlElement element = std::move(reader.open.back());
  reader.open.pop_back();
  if (reader.open.empty())
    reader.root = std::move(element);
  else
    reader.open.back().children.push_back(std::move(element));
}

void on_text(void* data, const XML_Char* text, int length) {
  XmlReader& reader = reader_of(data);
  if (!reader.open.empty()) reader.open.back().text.append(text, static_cast<size_t>(length));
}

// Entities are declared here; nobody's answer needs any.
void on_doctype(void* data, const XML_Char*, const XML_Char*, const XML_Char*, int) {
  (void)XML_StopParser(reader_of(data).parser, XML_FALSE);
}

}  // namespace

std::string XmlElement::child(std::string_view child_name) const {
  const auto found = std::find_if(children.begin(), children.end(), [&](const XmlElement& element) {
    return element.name == child_name;
  });
  return found == children.end() ? std::string() : found->text;
}

Result<XmlElement> parse_xml(std::string_view text) {
  if (text.size() > kMaxXmlBytes) return fail(Code::kDataLoss, "the XML is too long");
  const std::unique_ptr<XML_ParserStruct, decltype(&XML_ParserFree)> parser(
      XML_ParserCreate(nullptr), &XML_ParserFree);
  if (!parser) return fail(Code::kResourceExhausted, "out of memory");
  text = trim(text);  // answers that take long begin with spaces
  XmlReader reader{parser.get()};
  XML_SetUserData(parser.get(), &reader);
  XML_SetElementHandler(parser.get(), on_start, on_end);
  XML_SetCharacterDataHandler(parser.get(), on_text);
  XML_SetStartDoctypeDeclHandler(parser.get(), on_doctype);
  const auto parsed = XML_Parse(parser.get(), text.data(), static_cast<int>(text.size()), XML_TRUE);
  if (parsed != XML_STATUS_OK || !reader.root)
    return fail(Code::kDataLoss, std::string("the answer is no XML: ") +
                                     XML_ErrorString(XML_GetErrorCode(parser.get())));
  return *std::move(reader.root);
}

std::string xml_escape(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

}  // namespace kiln::server
