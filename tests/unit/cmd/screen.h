// A terminal's screen, as far as the live view uses one: cursor up, erase, wrapped lines,
// scrolling, a hidden cursor.
#pragma once

#include <string>
#include <vector>

#include "base/utf8.h"
#include "cmd/terminal_text.h"

namespace kiln::cmd {

class Screen {
 public:
  Screen(size_t columns, size_t rows) : columns_(columns), lines_(rows) {}

  void write(std::string_view text) {
    while (!text.empty()) {
      if (text[0] == '\033') {
        text.remove_prefix(escape(text));
      } else if (text[0] == '\n') {
        down();
        text.remove_prefix(1);
      } else if (text[0] == '\r') {
        x_ = 0;
        text.remove_prefix(1);
      } else {
        const size_t bytes = std::max<size_t>(1, decode_utf8(text).bytes);
        put(std::string(text.substr(0, bytes)));
        text.remove_prefix(bytes);
      }
    }
  }

  /// What is on the screen, without what is blank at the ends.
  std::vector<std::string> rows() const {
    std::vector<std::string> shown;
    for (const auto& line : lines_) {
      std::string text;
      for (const std::string& cell : line) text += cell;
      while (text.ends_with(' ')) text.pop_back();
      shown.push_back(text);
    }
    while (!shown.empty() && shown.back().empty()) shown.pop_back();
    return shown;
  }
  const std::vector<std::string>& scrolled_out() const { return scrolled_out_; }
  bool shows_cursor() const { return cursor_; }
  size_t wraps() const { return wraps_; }

 private:
  size_t escape(std::string_view text) {
    const size_t end = text.find_first_not_of("0123456789;?", 2);
    const std::string parameter(text.substr(2, end - 2));
    const char final = text[end];
    if (final == 'A') y_ -= std::min(y_, static_cast<size_t>(std::stoul(parameter)));
    if (final == 'K') lines_[y_].resize(std::min(lines_[y_].size(), x_));
    if (final == 'J') {
      lines_[y_].resize(std::min(lines_[y_].size(), x_));
      for (size_t y = y_ + 1; y < lines_.size(); ++y) lines_[y].clear();
    }
    if (parameter == "?25") cursor_ = final == 'h';
    return end + 1;
  }
  void down() {
    x_ = 0;
    if (y_ + 1 < lines_.size()) {
      ++y_;
      return;
    }
    std::string text;
    for (const std::string& cell : lines_.front()) text += cell;
    scrolled_out_.push_back(text);
    lines_.erase(lines_.begin());
    lines_.emplace_back();
  }
  void put(const std::string& character) {
    const size_t width = columns_of(character);
    if (x_ + width > columns_) {
      ++wraps_;
      down();
    }
    auto& line = lines_[y_];
    if (line.size() < x_ + width) line.resize(x_ + width, " ");
    line[x_] = character;
    for (size_t i = 1; i < width; ++i) line[x_ + i] = "";
    x_ += width;
  }

  size_t columns_;
  std::vector<std::vector<std::string>> lines_;
  size_t x_ = 0, y_ = 0, wraps_ = 0;
  bool cursor_ = true;
  std::vector<std::string> scrolled_out_;
};

}  // namespace kiln::cmd
