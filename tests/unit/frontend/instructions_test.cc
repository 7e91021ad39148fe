#include "frontend/instructions.h"

#include <gtest/gtest.h>

#include "frontend/parser.h"

namespace kiln::dockerfile {
namespace {

using Words = std::vector<std::string>;

template <class Kind>
Kind typed(std::string_view text) {
  const Parsed parsed = parse(text, "Dockerfile");
  EXPECT_TRUE(parsed.errors.empty()) << text;
  const TypedDockerfile file = parse_instructions(parsed.ast);
  EXPECT_TRUE(file.errors.empty()) << text << ": " << file.errors.front().to_string();
  if (file.instructions.empty()) return Kind();
  EXPECT_TRUE(std::holds_alternative<Kind>(file.instructions.front().kind)) << text;
  return std::get<Kind>(file.instructions.front().kind);
}

// The message without its place, of the first error that parsing or typing gives.
std::string error_of(std::string_view text) {
  const Parsed parsed = parse(text, "Dockerfile");
  std::vector<Error> errors = parsed.errors;
  if (errors.empty()) errors = parse_instructions(parsed.ast).errors;
  if (errors.empty()) return "";
  EXPECT_EQ(errors.front().where(), (SourceRange{"Dockerfile", 1, 1})) << text;
  const std::string prefix = "dockerfile parse error on line 1: ";
  EXPECT_EQ(errors.front().message().substr(0, prefix.size()), prefix);
  return errors.front().message().substr(prefix.size());
}

TEST(InstructionsTest, NamesWhatIsWrong) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"FORM a", "unknown instruction: FORM (did you mean FROM?)"},
      {"form a", "unknown instruction: form (did you mean from?)"},
      {"XYZZY a", "unknown instruction: XYZZY"},
      {"RUN[\"a\"]", "unknown instruction: RUN[\"a\"]"},
      {"FROM", "FROM requires either one or three arguments"},
      {"FROM a b", "FROM requires either one or three arguments"},
      {"FROM a as b c", "FROM requires either one or three arguments"},
      {"FROM a IS b", "FROM requires either one or three arguments"},
      {"FROM a AS 1b",
       "invalid name for build stage: \"1b\", name can't start with a number or contain symbols"},
      {"FROM a AS b/c",
       "invalid name for build stage: \"b/c\", name can't start with a number or contain symbols"},
      {"FROM --platfrom=x a", "unknown flag: --platfrom (did you mean platform?)"},
      {"FROM --platform a", "missing a value on flag: --platform"},
      {"FROM --platform=a --platform=b c", "duplicate flag specified: --platform"},
      {"WORKDIR --x /a", "unknown flag: --x"},
      {"ENV", "ENV requires at least one argument"},
      {"ENV =x", "ENV names can not be blank"},
      {"LABEL", "LABEL requires at least one argument"},
      {"LABEL =x", "LABEL names can not be blank"},
      {"ARG", "ARG requires at least one argument"},
      {"ARG =x", "ARG names can not be blank"},
      {"USER", "USER requires exactly one argument"},
      {"WORKDIR", "WORKDIR requires exactly one argument"},
      {"STOPSIGNAL", "STOPSIGNAL requires exactly one argument"},
      {"MAINTAINER", "MAINTAINER requires exactly one argument"},
      {"EXPOSE", "EXPOSE requires at least one argument"},
      {"VOLUME", "VOLUME requires at least one argument"},
      {"VOLUME []", "VOLUME requires at least one argument"},
      {"VOLUME [\" \"]", "VOLUME specified can not be an empty string"},
      {"SHELL", "SHELL requires at least one argument"},
      {"SHELL []", "SHELL requires at least one argument"},
      {"SHELL bash -c", "SHELL requires the arguments to be in JSON form"},
      {"COPY", "COPY requires at least two arguments"},
      {"COPY a",
       "COPY requires at least two arguments, but only one was provided. Destination could not be "
       "determined"},
      {"ADD a",
       "ADD requires at least two arguments, but only one was provided. Destination could not be "
       "determined"},
      {"COPY a <<EOF\nEOF\n", "COPY cannot accept a heredoc as a destination"},
      {"COPY --form=x a b", "unknown flag: --form (did you mean from?)"},
      {"COPY --from=$x a b",
       "variable expansion is not supported for --from, define a new stage with FROM using ARG "
       "from "
       "global scope as a workaround"},
      {"COPY --link=maybe a b", "expecting boolean value for flag --link, not: maybe"},
      {"COPY --link= a b", "missing a value on flag: --link"},
      {"COPY --chown a b", "missing a value on flag: --chown"},
      {"COPY --checksum=x a b", "unknown flag: --checksum"},
      {"ADD --from=x a b", "unknown flag: --from"},
      {"RUN --netwrk=none x", "unknown flag: --netwrk (did you mean network?)"},
      {"RUN --network=hots x", "invalid network mode \"hots\" (did you mean host?)"},
      {"RUN --security=unsafe x", "security \"unsafe\" is not valid"},
      {"RUN --mount=tipe=bind x", "unexpected key 'tipe' in 'tipe=bind' (did you mean type?)"},
      {"RUN --mount=bind x", "invalid field 'bind' must be a key=value pair"},
      {"RUN --mount=from=$x,target=/y x",
       "'from' doesn't support variable expansion, define alias stage instead"},
      {"RUN --device=a,b x", "invalid field 'b' must be a key=value pair"},
      {"RUN --device=a/b=c,nam=b x", "unexpected key 'nam' in 'nam=b' (did you mean name?)"},
      {"RUN --device=a/b=c,name=a/b=d x", "device name already set to a/b=c"},
      {"RUN --device=a/b,required=x x", "invalid value for required: x"},
      {"RUN --device=required x", "invalid device \"required\": a device name is required"},
      {"HEALTHCHECK", "HEALTHCHECK requires at least one argument"},
      {"HEALTHCHECK NONE x", "HEALTHCHECK NONE takes no arguments"},
      {"HEALTHCHECK CMD", "missing command after HEALTHCHECK CMD"},
      {"HEALTHCHECK TCP x", "unknown type \"TCP\" in HEALTHCHECK (try CMD)"},
      {"HEALTHCHECK --interval=1 CMD x", "time: missing unit in duration \"1\""},
      {"HEALTHCHECK --timeout=1us CMD x", "Interval \"timeout\" cannot be less than 1ms"},
      {"HEALTHCHECK --retries=-1 CMD x", "--retries cannot be negative (-1)"},
      {"HEALTHCHECK --retries=x CMD x", "invalid value for --retries: x"},
      {"ONBUILD", "ONBUILD requires at least one argument"},
      {"ONBUILD onbuild RUN x", "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"},
      {"ONBUILD from x", "FROM isn't allowed as an ONBUILD trigger"},
      {"ONBUILD MAINTAINER x", "MAINTAINER isn't allowed as an ONBUILD trigger"},
      {"ONBUILD --x RUN y", "unknown flag: --x"}};
  for (const auto& [text, message] : cases) {
    if (text.find('\n') == std::string::npos) {
      EXPECT_EQ(error_of(text), message) << text;
      continue;
    }
    const TypedDockerfile file = parse_instructions(parse(text, "D").ast);
    ASSERT_EQ(file.errors.size(), 1U) << text;
    EXPECT_NE(file.errors.front().message().find(message), std::string::npos) << text;
  }
}

TEST(InstructionsTest, KeepsGoingAfterAnErrorAndReportsAll) {
  const TypedDockerfile file =
      parse_instructions(parse("FORM a\nRUN x\nCOPY --x a b\nCMD y\n", "D").ast);
  EXPECT_EQ(file.instructions.size(), 2U);
  ASSERT_EQ(file.errors.size(), 2U);
  EXPECT_EQ(file.errors[0].where()->first_line, 1);
  EXPECT_EQ(file.errors[1].where()->first_line, 3);
  EXPECT_FALSE(file.errors[1].advice().empty());
}

TEST(InstructionsTest, ReadsFrom) {
  const From from = typed<From>("FROM --platform=$BUILDPLATFORM alpine:${V} As Build-1");
  EXPECT_EQ(from.base, "alpine:${V}");
  EXPECT_EQ(from.stage, "build-1");
  EXPECT_EQ(from.stage_text, "Build-1");
  EXPECT_EQ(from.as_text, "As");
  EXPECT_EQ(from.platform, "$BUILDPLATFORM");
  EXPECT_EQ(typed<From>("FROM scratch").stage, "");
}

TEST(InstructionsTest, ReadsArgumentsWithAndWithoutDefault) {
  const Arg arg = typed<Arg>("ARG a b= c=\"d e\"");
  ASSERT_EQ(arg.items.size(), 3U);
  EXPECT_EQ(arg.items[0].value, std::nullopt);
  EXPECT_EQ(arg.items[1].value, "");
  EXPECT_EQ(arg.items[2].value, "\"d e\"");
}

TEST(InstructionsTest, TellsTheLegacyFormsOfEnvAndLabel) {
  const Env env = typed<Env>("ENV a=b c=d");
  EXPECT_EQ(env.items.size(), 2U);
  EXPECT_FALSE(env.legacy);
  const Env legacy = typed<Env>("ENV a b  c");
  EXPECT_EQ(legacy.items.at(0).value, "b  c");
  EXPECT_TRUE(legacy.legacy);
  EXPECT_TRUE(typed<Label>("LABEL a b").legacy);
}

TEST(InstructionsTest, ReadsTheFlagsOfRun) {
  const auto run = typed<dockerfile::Run>(
      "RUN --mount=type=cache,target=/c --mount=type=tmpfs,target=/t --network=none "
      "--security=insecure "
      "--device=vendor.com/gpu=all,required --device=name=v/c make");
  EXPECT_EQ(run.mounts, (Words{"type=cache,target=/c", "type=tmpfs,target=/t"}));
  EXPECT_EQ(run.network, llb::NetMode::kNone);
  EXPECT_EQ(run.security, llb::SecurityMode::kInsecure);
  ASSERT_EQ(run.devices.size(), 2U);
  EXPECT_EQ(run.devices[0].name, "vendor.com/gpu=all");
  EXPECT_TRUE(run.devices[0].required);
  EXPECT_EQ(run.devices[1].name, "v/c");
  EXPECT_EQ(run.command.args, Words{"make"});
}

RunScript script(std::string_view text) {
  return run_script(typed<dockerfile::Run>(text).command);
}

TEST(RunScriptTest, PassesJsonFormAsItIs) {
  const RunScript exec = script("RUN [\"a\", \"b\"]");
  EXPECT_EQ(exec.kind, RunScript::Kind::kExec);
  EXPECT_EQ(exec.argv, (Words{"a", "b"}));
}

TEST(RunScriptTest, MakesALoneHeredocTheScript) {
  const RunScript lone = script("RUN <<-EOF\n\techo a\n\techo b\nEOF\n");
  EXPECT_EQ(lone.kind, RunScript::Kind::kShell);
  EXPECT_EQ(lone.text, "echo a\necho b\n");
}

TEST(RunScriptTest, MakesALoneHeredocWithAShebangAFile) {
  const RunScript file = script("RUN <<'EOF'\n#!/usr/bin/python3\nprint(1)\nEOF\n");
  EXPECT_EQ(file.kind, RunScript::Kind::kFile);
  EXPECT_EQ(file.file_name, "EOF");
  EXPECT_EQ(file.text, "#!/usr/bin/python3\nprint(1)\n");
}

TEST(RunScriptTest, LeavesHeredocsBesideOtherTextToTheShell) {
  EXPECT_EQ(script("RUN <<A bash\nx\nA\n").text, "<<A bash\nx\nA");
  EXPECT_EQ(script("RUN cat <<-A <<B\n\tx\nA\ny\nB\n").text, "cat <<-A <<B\n\tx\nA\ny\nB");
}

TEST(InstructionsTest, ReadsCopyWithHeredocsAmongItsSources) {
  const Copy copy = typed<Copy>(
      "COPY --from=b --chown=1:2 --chmod=u=rwX --link --parents=false --exclude=*.a --exclude=!b.a "
      "x <<A "
      "<<-'B' y /d/\n1 $v\nA\n\t2\nB\n");
  EXPECT_EQ(copy.from, "b");
  EXPECT_FALSE(copy.parents);
  EXPECT_TRUE(copy.transfer.link);
  EXPECT_EQ(copy.transfer.chown, "1:2");
  EXPECT_EQ(copy.transfer.chmod, "u=rwX");
  EXPECT_EQ(copy.transfer.exclude, (Words{"*.a", "!b.a"}));
  EXPECT_EQ(copy.transfer.sources, (Words{"x", "y"}));
  EXPECT_EQ(copy.transfer.destination, "/d/");
  ASSERT_EQ(copy.transfer.files.size(), 2U);
  EXPECT_EQ(copy.transfer.files[0].name, "A");
  EXPECT_EQ(copy.transfer.files[0].content, "1 $v\n");
  EXPECT_TRUE(copy.transfer.files[0].expand);
  EXPECT_EQ(copy.transfer.files[1].content, "2\n");
  EXPECT_FALSE(copy.transfer.files[1].expand);
}

TEST(InstructionsTest, TakesHeredocWordsInJsonFormAsPaths) {
  const Copy copy = typed<Copy>("COPY [\"<<A\", \"/d\"]");
  EXPECT_EQ(copy.transfer.sources, Words{"<<A"});
  EXPECT_TRUE(copy.transfer.files.empty());
}

TEST(InstructionsTest, ReadsTheFlagsOfAdd) {
  const Add add = typed<Add>("ADD --keep-git-dir=true --checksum=sha256:$x --unpack=false a b");
  EXPECT_TRUE(add.keep_git_dir);
  EXPECT_EQ(add.checksum, "sha256:$x");
  EXPECT_EQ(add.unpack, false);
  EXPECT_EQ(typed<Add>("ADD a b").unpack, std::nullopt);
}

TEST(InstructionsTest, ReadsHealthcheckOptions) {
  const Healthcheck check = typed<Healthcheck>(
      "HEALTHCHECK --interval=1m30s --timeout=1.5s --start-period=0 --start-interval=2h "
      "--retries=3 CMD "
      "curl -f x");
  EXPECT_EQ(check.interval, std::chrono::seconds(90));
  EXPECT_EQ(check.timeout, std::chrono::milliseconds(1500));
  EXPECT_EQ(check.start_period.count(), 0);
  EXPECT_EQ(check.start_interval, std::chrono::hours(2));
  EXPECT_EQ(check.retries, 3);
  EXPECT_TRUE(check.command.shell_form);
  EXPECT_EQ(check.command.args, Words{"curl -f x"});
  EXPECT_TRUE(typed<Healthcheck>("HEALTHCHECK none").none);
  EXPECT_FALSE(typed<Healthcheck>("HEALTHCHECK cmd [\"a\"]").command.shell_form);
}

TEST(InstructionsTest, SortsThePortsOfExpose) {
  EXPECT_EQ(typed<Expose>("EXPOSE 90 100/udp $P").ports, (Words{"$P", "100/udp", "90"}));
}

TEST(InstructionsTest, KeepsTheWordsOfPlainInstructions) {
  EXPECT_EQ(typed<Workdir>("WORKDIR $a/b c").path, "$a/b c");
  EXPECT_EQ(typed<User>("USER u:g").user, "u:g");
  EXPECT_EQ(typed<StopSignal>("STOPSIGNAL SIGINT").signal, "SIGINT");
  EXPECT_EQ(typed<Maintainer>("MAINTAINER A <b>").author, "A <b>");
  EXPECT_EQ(typed<Volume>("VOLUME /a $b").paths, (Words{"/a", "$b"}));
  EXPECT_EQ(typed<Shell>("SHELL [\"sh\", \"-c\"]").argv, (Words{"sh", "-c"}));
  EXPECT_EQ(typed<Entrypoint>("ENTRYPOINT []").command.args, Words{});
  EXPECT_FALSE(typed<Entrypoint>("ENTRYPOINT []").command.shell_form);
}

TEST(InstructionsTest, KeepsTheTriggerOfOnbuildWithItsHeredocs) {
  EXPECT_EQ(typed<Onbuild>("OnBuild   RUN  a \\\n  b").trigger, "RUN  a   b");
  EXPECT_EQ(typed<Onbuild>("ONBUILD COPY <<-A <<B /d\n\tx\nA\ny\nB\n").trigger,
            "COPY <<-A <<B /d\n\tx\nA\ny\nB");
}

TEST(InstructionsTest, ReadsATriggerBack) {
  const Onbuild onbuild = typed<Onbuild>("ONBUILD COPY <<-A /d\n\tx\nA\n");
  const auto trigger = parse_trigger(onbuild.trigger, '\\', {"Dockerfile", 9, 9});
  ASSERT_TRUE(trigger);
  EXPECT_EQ(std::get<Copy>(trigger->kind).transfer.files.at(0).content, "x\n");
  EXPECT_EQ(trigger->where, (SourceRange{"Dockerfile", 9, 9}));
}

TEST(InstructionsTest, RefusesTriggersThatAreNoInstruction) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "onbuild trigger should be a single expression"},
      {"RUN a\nRUN b", "onbuild trigger should be a single expression"},
      {"FROM a", "FROM isn't allowed as an ONBUILD trigger"},
      {"ONBUILD RUN a", "ONBUILD isn't allowed as an ONBUILD trigger"},
      {"RUNN a", "unknown instruction: RUNN (did you mean RUN?)"},
      {"ENV a", "ENV must have two arguments"}};
  for (const auto& [text, message] : cases) {
    const auto trigger = parse_trigger(text, '\\', {});
    ASSERT_FALSE(trigger) << text;
    EXPECT_EQ(trigger.error().to_string(), message);
  }
}

TEST(InstructionsTest, KeepsWhatLintAndHistoryNeed) {
  const Parsed parsed = parse("# doc\n# check=skip=all\nrUn a \\\n\n b\n", "D");
  const TypedDockerfile file = parse_instructions(parsed.ast);
  ASSERT_EQ(file.instructions.size(), 1U);
  const TypedInstruction& run = file.instructions.front();
  EXPECT_EQ(run.original_name, "rUn");
  EXPECT_EQ(run.text, "rUn a  b");
  EXPECT_TRUE(run.empty_continuation);
  EXPECT_EQ(run.comments.lines, Words{"doc"});
  EXPECT_EQ(run.comments.check, "skip=all");
  EXPECT_EQ(run.where, (SourceRange{"D", 3, 5}));
}

}  // namespace
}  // namespace kiln::dockerfile
