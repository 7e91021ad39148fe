#include "cache/fields.h"

#include <gtest/gtest.h>

namespace kiln::cache {
namespace {

TEST(FieldsTest, WritesTagLengthAndBytes) {
  FieldWriter out("m");
  out.text(7, "ab");
  out.number(8, 0x0102);
  const std::string expected = std::string("m") + "\x07" + std::string("\2\0\0\0\0\0\0\0", 8) +
                               "ab" + "\x08" + std::string("\x08\0\0\0\0\0\0\0", 8) +
                               std::string("\2\1\0\0\0\0\0\0", 8);
  EXPECT_EQ(out.bytes(), expected);
}

TEST(FieldsTest, RefusesAnotherMagic) {
  FieldWriter out("kiln.a.v1");
  EXPECT_FALSE(FieldReader::open("kiln.b.v1", std::move(out).sealed()));
}

TEST(FieldsTest, ReadsNothingAfterAnError) {
  FieldWriter out("m");
  out.text(1, "one");
  out.text(2, "two");
  const std::string sealed = std::move(out).sealed();
  auto in = FieldReader::open("m", sealed).value();
  EXPECT_FALSE(in.text(2));
  EXPECT_FALSE(in.text(1));
  EXPECT_FALSE(in.at_end());
}

TEST(FieldsTest, RefusesANumberOfAnotherWidth) {
  FieldWriter out("m");
  out.text(1, "abc");
  const std::string sealed = std::move(out).sealed();
  EXPECT_FALSE(FieldReader::open("m", sealed).value().number(1));
  EXPECT_FALSE(FieldReader::open("m", sealed).value().digest(1));
}

}  // namespace
}  // namespace kiln::cache
