// Why a step was not cached: its key's record beside the nearest one of an earlier build, field by
// field. Pure; where records come from is local_store.h's affair.
#pragma once

#include "cache/key.h"

#include <functional>
#include <span>
#include <string>
#include <vector>

namespace kiln {

/// What an input of the step is in this build.
struct ExplainedInput {
  std::string name;  // of the step whose result it is
  bool ran = false;  // that step ran in this build: it was not cached either
};

/// The name of the step that has this key, of which an earlier record says that it is an input; "":
/// not known any more.
using NameOfKey = std::function<std::string(const Digest& key)>;

/// Of `before`, the record of the same step that differs the least from `now`, the first of
/// several; nullptr: none is of that step. It is the same step if it does the same kind of thing
/// and has the same name, the same instruction, or the same place in its stage on the same input.
const KeyRecord* nearest_record(const KeyRecord& now, std::span<const KeyRecord> before);

/// One line for each difference, the cause first; empty: the keys are equal. Values are quoted and
/// cut to what is worth reading. `inputs`: of `now`, in its order.
std::vector<std::string> differences(const KeyRecord& now, const KeyRecord& before,
                                     std::span<const ExplainedInput> inputs,
                                     const NameOfKey& name_of);

/// A step's display name, "[build 2/4] RUN make", in its parts; a name of another form is all
/// instruction.
struct StepName {
  std::string_view place;        // "[build 2/": without the number of steps, which changes
  std::string_view instruction;  // "RUN make"
};
StepName split_step_name(std::string_view name);

}  // namespace kiln
