// SPDX-License-Identifier: Apache-2.0
#include "agent/options.hpp"

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <memory>

#include <CLI/CLI.hpp>

#include "agent/config.hpp"
#include "agent/settings.hpp"

namespace nightjar {
namespace {

/// A setting's option while the command line is read.
struct TypedSetting {
  const Setting* setting;
  std::vector<std::string> values;
  bool on = false;
  CLI::Option* option = nullptr;
};

class Parser {
 public:
  Parser() {
    app_.require_subcommand(1);
    watch_ = app_.add_subcommand("watch", "Run COMMAND, report what its process tree does, exit with its status");
    add_settings(*watch_, true);
    watch_->footer("COMMAND follows --:  nightjar watch [OPTIONS] -- COMMAND [ARG...]");
    run_ = app_.add_subcommand("run", "Report what the machine, or a part of it, does, until SIGINT or SIGTERM");
    add_settings(*run_, false);
    add_doctor();
    add_events();
    add_config();
    add_files();
    // atlas_command reads its own options.
    app_.add_subcommand("atlas", "Layouts of kernel types, for kernels without BTF; see nightjar-atlas(1)");
    app_.add_subcommand("version", "The version")->callback([this] { options_.command = Command::version; });
  }

  ParsedOptions parse(int argc, char** argv) {
    const auto is_command = [&](const CLI::App* command) { return argc > 1 && command->get_name() == argv[1]; };
    if (argc > 1 && argv[1][0] != '-' && app_.get_subcommands(is_command).empty()) {
      std::string names;
      for (const CLI::App* command : app_.get_subcommands(nullptr))
        names += (names.empty() ? "" : ", ") + command->get_name();
      return refuse("there is no command '" + std::string(argv[1]) + "': expected one of " + names);
    }
    // What follows -- is COMMAND's and is never looked at.
    int own = argc;
    for (int i = 1; i < argc; ++i) {
      if (std::string_view(argv[i]) != "--") continue;
      own = i;
      options_.to_watch.assign(argv + i + 1, argv + argc);
      break;
    }
    try {
      app_.parse(own, argv);
    } catch (const CLI::CallForHelp& help) {
      app_.exit(help, std::cout, std::cerr);
      return {std::nullopt, exit_done};
    } catch (const CLI::ParseError& error) {
      std::string what = error.what();
      for (char& c : what) c = c == '\n' ? ' ' : c;
      return refuse(what);
    }
    if (app_.got_subcommand(watch_)) options_.command = Command::watch;
    if (app_.got_subcommand(run_)) options_.command = Command::run;
    if (options_.command == Command::watch && options_.to_watch.empty())
      return refuse("watch: COMMAND is missing: nightjar watch [OPTIONS] -- COMMAND [ARG...]");
    if (options_.command != Command::watch && own != argc) return refuse("only watch takes a COMMAND after --");
    if (auto meaning = interpret(); !meaning) return refuse(meaning.error().what());
    return {std::move(options_), exit_done};
  }

 private:
  static ParsedOptions refuse(const std::string& what) {
    std::fprintf(stderr, "nightjar: %s (see nightjar --help)\n", what.c_str());
    return {std::nullopt, exit_usage};
  }

  void add_settings(CLI::App& command, bool watches) {
    command.add_option("--config", options_.config_path, "Configuration file, nightjar.yaml(5)")->type_name("FILE");
    for (const Setting& setting : all_settings()) {
      if (watches && setting.run_only) continue;
      typed_.push_back(std::make_unique<TypedSetting>(TypedSetting{&setting, {}, false, nullptr}));
      TypedSetting& typed = *typed_.back();
      std::string doc(setting.doc);
      if (setting.key == "events") doc += " " + event_names();
      const std::string option(setting.option);
      if (setting.form == Setting::Form::flag) {
        // --no-hash as well: a configuration file may have said yes.
        typed.option = command.add_flag(option + ",!--no-" + option.substr(2), typed.on, doc);
      } else {
        typed.option = command.add_option(option, typed.values, doc)
                           ->type_name(std::string(setting.value))
                           ->allow_extra_args(false);
        if (!setting.alone.empty()) {
          typed.option->multi_option_policy(CLI::MultiOptionPolicy::Throw)->expected(0, 1);
        } else if (!setting.repeatable) {
          typed.option->multi_option_policy(CLI::MultiOptionPolicy::Throw)->expected(1);
        }
      }
    }
  }

  void add_doctor() {
    CLI::App* doctor = app_.add_subcommand("doctor", "What this kernel can deliver: each event, the hook, or why not");
    doctor->add_flag("--json", options_.json, "As JSON");
    doctor->add_option("--btf", options_.sensor.btf_path, "Kernel types from this file")->type_name("PATH");
    doctor
        ->add_option("--atlas", options_.sensor.atlas_path, "Kernel types from this atlas, where the kernel has no BTF")
        ->type_name("PATH");
    doctor->add_option("--without", without_, "Act as if this kernel lacked FEATURE; repeatable")->type_name("FEATURE");
    doctor->callback([this] { options_.command = Command::doctor; });
  }

  void add_events() {
    CLI::App* events = app_.add_subcommand("events", "Every event and field");
    const auto listing = [&](const std::string& name, Listing value, const std::string& what) {
      events->add_flag_callback(name, [this, value] { options_.listing = value; }, what);
    };
    listing("--json", Listing::json, "As JSON");
    listing("--schema", Listing::schema, "JSON Schema of a line of ECS output");
    listing("--markdown", Listing::markdown, "As the reference of the documentation, docs/events.md");
    listing("--lock", Listing::lock, "Fields and types in brief, docs/schema.lock");
    events->callback([this] { options_.command = Command::events; });
  }

  void add_config() {
    CLI::App* config = app_.add_subcommand("config", "Check a configuration file, or show what is in force with it");
    config->require_subcommand(1);
    for (const auto& [name, doc] : {std::pair{"check", "Say what is wrong in the file, if anything"},
                                    std::pair{"show", "Every setting with its value, as a configuration file"}}) {
      CLI::App* action = config->add_subcommand(name, doc);
      action->add_option("FILE,--config", options_.config_path, "The file")->type_name("");
      action->callback([this, chosen = std::string(name)] {
        options_.command = Command::config;
        options_.action = chosen;
      });
    }
  }

  void add_files() {
    const auto add = [&](const char* name, const char* doc, Command command, const char* inputs, bool writes) {
      CLI::App* sub = app_.add_subcommand(name, doc);
      sub->add_option(inputs, options_.inputs, "Files; - is standard input")->required(command != Command::top);
      if (writes) sub->add_option("-o,--output", options_.target, "File to write")->type_name("FILE");
      sub->callback([this, command] { options_.command = command; });
    };
    add("import-audit", "Turn rules of auditd into a configuration file", Command::import_audit, "RULES", true);
    add("report", "One page (HTML) that shows recorded events", Command::report, "EVENTS", true);
    add("top", "Busiest processes, event rates and losses, live, from events on standard input or in a file",
        Command::top, "EVENTS", false);
  }

  Result<> interpret() {
    for (const auto& typed : typed_) {
      if (typed->option->count() == 0) continue;
      const Setting& setting = *typed->setting;
      GivenSetting given{&setting, std::move(typed->values), std::string(setting.option)};
      if (!setting.alone.empty() && (given.values.empty() || given.values.back().empty()))
        given.values = {std::string(setting.alone)};
      if (setting.form == Setting::Form::flag) given.values = {typed->on ? "true" : "false"};
      if (setting.form == Setting::Form::list && !setting.repeatable) given.values = split_list(given.values.back());
      options_.given.push_back(std::move(given));
    }
    if (options_.command == Command::watch || options_.command == Command::run) {
      if (!options_.config_path.empty()) {
        // Read a second time by effective_options: here only to know later what a reload changes.
        options_.configured = NIGHTJAR_TRY(read_config(options_.config_path)).settings;
      }
      options_.sensor = NIGHTJAR_TRY(effective_options(options_.config_path, options_.given));
    }
    for (const std::string& list : without_) NIGHTJAR_CHECK(add_without(options_.sensor, list, "--without"));
    if (options_.command == Command::watch) {
      options_.sensor.scope.what = Scope::What::tree;
      options_.sensor.scope.text = "tree of the command";
    }
    return {};
  }

  Options options_;
  CLI::App app_{"Security telemetry from Linux with eBPF.", "nightjar"};
  CLI::App* watch_;
  CLI::App* run_;
  std::vector<std::unique_ptr<TypedSetting>> typed_;
  std::vector<std::string> without_;
};

}  // namespace

ParsedOptions parse_options(int argc, char** argv) {
  return Parser().parse(argc, argv);
}

}  // namespace nightjar
