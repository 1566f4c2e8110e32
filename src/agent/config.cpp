// SPDX-License-Identifier: Apache-2.0
#include "agent/config.hpp"

#include <algorithm>
#include <charconv>

#include <fcntl.h>
#include <pwd.h>
#include <unistd.h>
#include <yaml-cpp/yaml.h>

#include <sys/stat.h>

#include "loader/text.hpp"
#include "nightjar/unique_fd.hpp"

namespace nightjar {
namespace {

constexpr std::size_t largest_file = 4 << 20;
constexpr std::size_t most_rules = 8192;

constexpr RuleKey keys_of_a_rule[] = {
    {"id", "Name of the rule, shown in the events that it lets through and in the counts of what it drops."},
    {"action", "keep (the default) or drop."},
    {"tags", "Words that the events carry in nightjar.rule.tags."},
    {"events", "Events or families; all when left out."},
    {"executable", "Patterns of the file that runs."},
    {"uid", "Effective user ids, ranges (1000-1999) or names of users."},
    {"login_uid", "The same of the audit login uid; a process without one does not match."},
    {"cgroup", "Patterns of the cgroup's path."},
    {"container", "Patterns of the container's id."},
    {"path", "Patterns of a path that the event names."},
    {"port", "Ports or ranges, of either end."},
};

class Reader {
 public:
  explicit Reader(std::string file) : file_(std::move(file)) {}

  Result<Config> read(const std::string& text) {
    YAML::Node root;
    try {
      root = YAML::Load(text);
    } catch (const YAML::ParserException& error) {
      return Error(errc::invalid, at(error.mark) + "this is not YAML: " + error.msg);
    } catch (const YAML::Exception& error) {
      return Error(errc::invalid, at(error.mark) + error.msg);
    }
    Config config;
    if (root.IsNull()) return config;
    if (!root.IsMap()) return wrong(root, "expected keys and values, such as 'events: [exec]'");
    std::vector<std::string_view> keys{"rules", "default"};
    for (const Setting& setting : all_settings()) keys.push_back(setting.key);
    NIGHTJAR_CHECK(check_keys(root, keys, "key"));
    for (const auto& entry : root) {
      const std::string key = entry.first.Scalar();
      if (key == "rules") {
        NIGHTJAR_CHECK(read_rules(entry.second, config.filter));
      } else if (key == "default") {
        config.filter.keep_others = NIGHTJAR_TRY(read_action(entry.second, key));
      } else {
        config.settings.push_back(NIGHTJAR_TRY(read_setting(key, entry.second)));
      }
    }
    return config;
  }

 private:
  [[nodiscard]] std::string at(const YAML::Mark& mark) const {
    if (mark.is_null()) return file_ + ": ";
    return file_ + ":" + std::to_string(mark.line + 1) + ":" + std::to_string(mark.column + 1) + ": ";
  }
  [[nodiscard]] Error wrong(const YAML::Node& node, const std::string& what) const {
    return Error(errc::invalid, at(node.Mark()) + what);
  }

  [[nodiscard]] Result<> check_keys(const YAML::Node& map, const std::vector<std::string_view>& keys,
                                    const std::string& what) const {
    std::vector<std::string> seen;
    for (const auto& entry : map) {
      if (!entry.first.IsScalar()) return wrong(entry.first, "expected a word as " + what);
      const std::string& key = entry.first.Scalar();
      if (std::find(keys.begin(), keys.end(), key) == keys.end())
        return wrong(entry.first, "there is no " + what + " '" + key + "'" + text::did_you_mean(key, keys));
      if (std::find(seen.begin(), seen.end(), key) != seen.end())
        return wrong(entry.first, what + " '" + key + "' stands here a second time");
      seen.push_back(key);
    }
    return {};
  }

  [[nodiscard]] Result<std::string> read_text(const YAML::Node& node, const std::string& key) const {
    if (!node.IsScalar()) return wrong(node, key + ": expected one value" + found(node));
    return node.Scalar();
  }

  static std::string found(const YAML::Node& node) {
    if (node.IsSequence()) return ", this is a list";
    if (node.IsMap()) return ", these are keys and values";
    return node.IsNull() ? ", there is none" : "";
  }

  [[nodiscard]] Result<std::vector<std::pair<std::string, YAML::Node>>> read_list(const YAML::Node& node,
                                                                                  const std::string& key) const {
    std::vector<std::pair<std::string, YAML::Node>> values;
    if (node.IsScalar()) {
      for (std::string& part : split_list(node.Scalar())) values.emplace_back(std::move(part), node);
      return values;
    }
    if (!node.IsSequence()) return wrong(node, key + ": expected a list" + found(node));
    for (const auto& element : node) values.emplace_back(NIGHTJAR_TRY(read_text(element, key)), element);
    return values;
  }

  [[nodiscard]] Result<std::vector<std::string>> read_words(const YAML::Node& node, const std::string& key) const {
    std::vector<std::string> words;
    for (auto& [word, where] : NIGHTJAR_TRY(read_list(node, key))) words.push_back(std::move(word));
    return words;
  }

  [[nodiscard]] Result<bool> read_action(const YAML::Node& node, const std::string& key) const {
    const std::string action = NIGHTJAR_TRY(read_text(node, key));
    if (action == "keep") return true;
    if (action == "drop") return false;
    return wrong(node, key + ": expected keep or drop, this is '" + action + "'");
  }

  [[nodiscard]] Result<GivenSetting> read_setting(const std::string& key, const YAML::Node& node) const {
    const auto settings = all_settings();
    const Setting& setting =
        *std::find_if(settings.begin(), settings.end(), [&](const Setting& s) { return s.key == key; });
    GivenSetting given{&setting, {}, at(node.Mark()) + key + ":"};
    switch (setting.form) {
      case Setting::Form::list:
        given.values = NIGHTJAR_TRY(read_words(node, key));
        break;
      case Setting::Form::text:
        given.values = {NIGHTJAR_TRY(read_text(node, key))};
        break;
      case Setting::Form::flag: {
        const std::string value = NIGHTJAR_TRY(read_text(node, key));
        if (value != "true" && value != "false")
          return wrong(node, key + ": expected true or false, this is '" + value + "'");
        given.values = {value};
      }
    }
    SensorOptions scratch;
    NIGHTJAR_CHECK(setting.apply(scratch, given.values, given.name));
    return given;
  }

  Result<> read_rules(const YAML::Node& node, Filter& filter) const {
    if (!node.IsSequence()) return wrong(node, "rules: expected a list of rules, each with an id" + found(node));
    if (node.size() > most_rules)
      return wrong(node, "rules: there are " + std::to_string(node.size()) + ", at most " + std::to_string(most_rules) +
                             " are possible");
    std::set<std::string> ids;
    for (const auto& element : node) {
      Rule rule = NIGHTJAR_TRY(read_rule(element));
      if (!ids.insert(rule.id).second)
        return wrong(element, "a rule with the id '" + rule.id + "' stands above already");
      filter.watches_reads |= watches_reads(rule);
      filter.rules.push_back(std::move(rule));
    }
    return {};
  }

  [[nodiscard]] Result<Rule> read_rule(const YAML::Node& node) const {
    if (!node.IsMap()) return wrong(node, "expected a rule: keys and values, at least an id");
    std::vector<std::string_view> keys;
    for (const RuleKey& key : rule_keys()) keys.push_back(key.name);
    NIGHTJAR_CHECK(check_keys(node, keys, "key of a rule"));
    Rule rule;
    for (const auto& entry : node) {
      const std::string& key = entry.first.Scalar();
      if (key == "id") {
        rule.id = NIGHTJAR_TRY(read_text(entry.second, key));
      } else if (key == "action") {
        rule.keep = NIGHTJAR_TRY(read_action(entry.second, key));
      } else if (key == "tags") {
        rule.tags = NIGHTJAR_TRY(read_words(entry.second, key));
      } else if (key == "events") {
        SensorOptions selected;
        const auto names = NIGHTJAR_TRY(read_words(entry.second, key));
        NIGHTJAR_CHECK(select_events(names, selected, at(entry.second.Mark()) + key));
        for (const Kind kind : selected.wanted) {
          if (event_info(kind).family != "sensor") rule.events.insert(kind);
        }
      } else {
        NIGHTJAR_CHECK(read_condition(key, entry.second, rule));
      }
    }
    if (rule.id.empty()) return wrong(node, "this rule has no id");
    return rule;
  }

  Result<> read_condition(const std::string& key, const YAML::Node& node, Rule& rule) const {
    std::size_t subject = 0;
    while (name_of(static_cast<Subject>(subject)) != key) ++subject;
    const auto is = static_cast<Subject>(subject);
    const bool numbers = is == Subject::uid || is == Subject::login_uid || is == Subject::port;
    const auto values = NIGHTJAR_TRY(read_list(node, key));
    if (values.empty()) return wrong(node, key + ": the list is empty: it would match nothing");
    for (const auto& [value, where] : values) {
      if (value.empty()) return wrong(where, key + ": an empty value matches nothing");
      if (!numbers) {
        rule.patterns[subject].push_back(value);
        continue;
      }
      const auto range = range_of(value, is);
      if (!range)
        return wrong(where, key + ": expected " +
                                (is == Subject::port ? "a port or a range of ports (0 to 65535)"
                                                     : "a user id, a range or the name of a user") +
                                ", this is '" + value + "'");
      rule.ranges[subject].push_back(*range);
    }
    return {};
  }

  static std::optional<NumberRange> range_of(const std::string& text, Subject subject) {
    const std::uint64_t largest = subject == Subject::port ? 65535 : 0xfffffffe;
    NumberRange range;
    const char* end = text.data() + text.size();
    auto parsed = std::from_chars(text.data(), end, range.first);
    if (parsed.ec == std::errc()) {
      range.last = range.first;
      if (parsed.ptr != end && *parsed.ptr == '-') parsed = std::from_chars(parsed.ptr + 1, end, range.last);
      if (parsed.ec != std::errc() || parsed.ptr != end || range.last < range.first || range.last > largest)
        return std::nullopt;
      return range;
    }
    if (subject == Subject::port) return std::nullopt;
    const passwd* user = getpwnam(text.c_str());
    if (user == nullptr) return std::nullopt;
    return NumberRange{user->pw_uid, user->pw_uid};
  }

  std::string file_;
};

Result<std::string> read_trusted(const std::string& path) {
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!file.valid()) return Error::from_errno("cannot read the configuration " + path);
  struct stat status{};
  if (fstat(file.get(), &status) != 0) return Error::from_errno("cannot read the configuration " + path);
  if (!S_ISREG(status.st_mode)) return Error(errc::invalid, path + " is no regular file");
  if (status.st_uid != 0 && status.st_uid != geteuid())
    return Error(errc::invalid, path + " belongs to user " + std::to_string(status.st_uid) +
                                    ", who could change it: chown it to root");
  if ((status.st_mode & 022) != 0)
    return Error(errc::invalid, path + " can be written by others than its owner: chmod go-w " + path);
  std::string text;
  char buffer[16384];
  for (ssize_t n = 0; (n = read(file.get(), buffer, sizeof buffer)) != 0;) {
    if (n < 0) return Error::from_errno("cannot read the configuration " + path);
    text.append(buffer, static_cast<std::size_t>(n));
    if (text.size() > largest_file) return Error(errc::invalid, path + " is larger than 4 MiB: is it a configuration?");
  }
  return text;
}

/// A rule that names open_read and paths asks for it, where file events are wanted at all.
void want_watched_reads(SensorOptions& options) {
  const bool files = std::any_of(options.wanted.begin(), options.wanted.end(),
                                 [](Kind kind) { return event_info(kind).family == "file"; });
  const bool asked =
      options.filter && std::any_of(options.filter->rules.begin(), options.filter->rules.end(), [](const Rule& rule) {
        return watches_reads(rule) && rule.events.contains(Kind::open_read);
      });
  if (files && asked) options.wanted.insert(Kind::open_read);
}

}  // namespace

std::span<const RuleKey> rule_keys() {
  return keys_of_a_rule;
}

Result<Config> parse_config(const std::string& text, const std::string& name) {
  return Reader(name).read(text);
}

Result<Config> read_config(const std::string& path) {
  return parse_config(NIGHTJAR_TRY(read_trusted(path)), path);
}

Result<SensorOptions> effective_options(const std::string& config_path, const std::vector<GivenSetting>& given) {
  SensorOptions options;
  NIGHTJAR_CHECK(select_events({"all"}, options, "events"));
  if (!config_path.empty()) {
    Config config = NIGHTJAR_TRY(read_config(config_path));
    for (const GivenSetting& setting : config.settings)
      NIGHTJAR_CHECK(setting.setting->apply(options, setting.values, setting.name));
    options.filter = std::make_shared<const Filter>(std::move(config.filter));
    options.reloads = true;
  }
  for (const GivenSetting& setting : given)
    NIGHTJAR_CHECK(setting.setting->apply(options, setting.values, setting.name));
  want_watched_reads(options);
  return options;
}

Result<SensorOptions> reloaded_options(const Options& options) {
  const Config config = NIGHTJAR_TRY(read_config(options.config_path));
  const auto same = [](const std::vector<GivenSetting>& list, const Setting& setting) {
    const auto found = std::find_if(list.begin(), list.end(), [&](const auto& g) { return g.setting == &setting; });
    return found == list.end() ? nullptr : &found->values;
  };
  for (const Setting& setting : all_settings()) {
    if (setting.live || same(options.given, setting) != nullptr) continue;
    const auto* before = same(options.configured, setting);
    const auto* after = same(config.settings, setting);
    if ((before == nullptr) != (after == nullptr) || (before != nullptr && *before != *after))
      return Error(errc::invalid, options.config_path + ": " + std::string(setting.key) +
                                      " changed, which needs a restart: nothing of the file was taken over");
  }
  SensorOptions changed = NIGHTJAR_TRY(effective_options(options.config_path, options.given));
  if (changed.wanted.contains(Kind::open_read) && !options.sensor.wanted.contains(Kind::open_read))
    return Error(errc::invalid, options.config_path +
                                    ": a rule asks for open_read, whose programs are not loaded, which needs a "
                                    "restart: nothing of the file was taken over");
  return changed;
}

}  // namespace nightjar
