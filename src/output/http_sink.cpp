// SPDX-License-Identifier: Apache-2.0
// http(s)://, otlp+http(s)://: batches by POST, through libcurl.
#include <algorithm>
#include <numeric>

#include <curl/curl.h>

#include "output/http_body.hpp"
#include "output/safe_path.hpp"
#include "output/shared_library.hpp"
#include "output/sink.hpp"

namespace nightjar {
namespace {

constexpr std::size_t lines_a_request = 2000;
constexpr std::size_t bytes_a_request = 4U << 20;
constexpr std::size_t answer_bytes_at_most = 8U << 20;
constexpr std::uint64_t timeout_s = 10;

struct Api {
  NIGHTJAR_IMPORT(curl_global_init);
  NIGHTJAR_IMPORT(curl_easy_init);
  NIGHTJAR_IMPORT(curl_easy_cleanup);
  NIGHTJAR_IMPORT(curl_easy_setopt);
  NIGHTJAR_IMPORT(curl_easy_perform);
  NIGHTJAR_IMPORT(curl_easy_getinfo);
  NIGHTJAR_IMPORT(curl_easy_strerror);
  NIGHTJAR_IMPORT(curl_slist_append);
  NIGHTJAR_IMPORT(curl_slist_free_all);
};

Result<Api> load_api() {
  auto library = SharedLibrary::open("libcurl.so.4", "libcurl4");
  if (!library) library = SharedLibrary::open("libcurl-gnutls.so.4", "libcurl4");
  if (!library) return std::move(library).error();
  Api api;
  NIGHTJAR_FIND(*library, curl_global_init);
  NIGHTJAR_FIND(*library, curl_easy_init);
  NIGHTJAR_FIND(*library, curl_easy_cleanup);
  NIGHTJAR_FIND(*library, curl_easy_setopt);
  NIGHTJAR_FIND(*library, curl_easy_perform);
  NIGHTJAR_FIND(*library, curl_easy_getinfo);
  NIGHTJAR_FIND(*library, curl_easy_strerror);
  NIGHTJAR_FIND(*library, curl_slist_append);
  NIGHTJAR_FIND(*library, curl_slist_free_all);
  if (api.curl_global_init(CURL_GLOBAL_DEFAULT) != 0) return Error(errc::system, "libcurl cannot be initialised");
  return api;
}

struct Target {
  std::string url, ca_file;
  std::vector<std::string> headers;
  http::BodySettings body;
  std::uint64_t timeout = timeout_s;
};

class HttpSink : public Sink {
 public:
  HttpSink(Api api, Target target) : api_(api), target_(std::move(target)), curl_(api_.curl_easy_init()) {
    for (const std::string& header : target_.headers) headers_ = api_.curl_slist_append(headers_, header.c_str());
    // libcurl's interface is variadic. NOLINTBEGIN(cppcoreguidelines-pro-type-vararg)
    const auto set = [&](CURLoption option, auto value) { api_.curl_easy_setopt(curl_, option, value); };
    set(CURLOPT_URL, target_.url.c_str());
    set(CURLOPT_HTTPHEADER, headers_);
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_CONNECTTIMEOUT, static_cast<long>(std::min<std::uint64_t>(target_.timeout, timeout_s)));
    set(CURLOPT_TIMEOUT, static_cast<long>(target_.timeout));
    set(CURLOPT_FOLLOWLOCATION, 0L);
    set(CURLOPT_USERAGENT, "nightjar/" NIGHTJAR_VERSION);
    set(CURLOPT_WRITEFUNCTION, on_answer);
    set(CURLOPT_WRITEDATA, &answer_);
    if (!target_.ca_file.empty()) set(CURLOPT_CAINFO, target_.ca_file.c_str());
    // NOLINTEND(cppcoreguidelines-pro-type-vararg)
  }
  ~HttpSink() override {
    api_.curl_easy_cleanup(curl_);
    api_.curl_slist_free_all(headers_);
  }
  HttpSink(const HttpSink&) = delete;
  HttpSink& operator=(const HttpSink&) = delete;

  Delivery deliver(const Batch& batch, std::size_t from) override {
    Delivery delivery;
    std::vector<std::size_t> lines = next_lines(batch, from);
    std::size_t end = lines.back() + 1;  // where the request began with ended
    std::vector<std::pair<std::size_t, std::string_view>> refused;
    while (!lines.empty()) {
      auto answer = post(http::make_body(target_.body, batch, lines), lines.size());
      if (!answer) {
        delivery.trouble = std::move(answer).error();
        end = lines.front();
        break;
      }
      const bool refused_all = std::ranges::all_of(answer->fates, [](auto f) { return f == http::Fate::refused; });
      if (refused_all && lines.size() > 1) {
        // One line spoils the request, or it is too large: half of it then.
        largest_ = std::max<std::size_t>(1, lines.size() / 2);
        lines.resize(largest_);
        end = lines.back() + 1;
        continue;
      }
      std::vector<std::size_t> again;
      for (std::size_t i = 0; i < lines.size(); ++i) {
        if (answer->fates[i] == http::Fate::again) again.push_back(lines[i]);
        if (answer->fates[i] == http::Fate::refused)
          refused.emplace_back(lines[i], answer->too_large ? "too_large" : "refused");
      }
      if (again.size() == lines.size()) {
        delivery.trouble = Error(errc::busy, target_.url + ": " + answer->why);
        end = lines.front();
        break;
      }
      lines = std::move(again);  // some were taken: the others at once
    }
    delivery.lines = end - from;
    for (const auto& [line, reason] : refused) {
      if (line >= end) continue;  // sent once more with what stands before it
      ++delivery.refused[batch.lines[line].kind];
      delivery.reason = reason;
    }
    if (!delivery.trouble) largest_ = std::min(lines_a_request, largest_ * 2);
    return delivery;
  }

 private:
  std::vector<std::size_t> next_lines(const Batch& batch, std::size_t from) const {
    std::size_t end = from + 1;
    while (end < batch.lines.size() && end - from < largest_ &&
           batch.lines[end].end - batch.begin_of(from) <= bytes_a_request)
      ++end;
    std::vector<std::size_t> lines(end - from);
    std::iota(lines.begin(), lines.end(), from);
    return lines;
  }

  Result<http::Answer> post(const std::string& body, std::size_t lines) {
    answer_.clear();
    // NOLINTBEGIN(cppcoreguidelines-pro-type-vararg)
    api_.curl_easy_setopt(curl_, CURLOPT_POSTFIELDS, body.data());
    api_.curl_easy_setopt(curl_, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
    if (const CURLcode code = api_.curl_easy_perform(curl_); code != CURLE_OK)
      return Error(errc::system, target_.url + ": " + api_.curl_easy_strerror(code));
    long status = 0;
    api_.curl_easy_getinfo(curl_, CURLINFO_RESPONSE_CODE, &status);
    // NOLINTEND(cppcoreguidelines-pro-type-vararg)
    return http::read_answer(target_.body.form, status, answer_, lines);
  }

  static std::size_t on_answer(char* bytes, std::size_t one, std::size_t count, void* context) {
    auto& answer = *static_cast<std::string*>(context);
    if (answer.size() + one * count > answer_bytes_at_most) return 0;  // an error of curl_easy_perform
    answer.append(bytes, one * count);
    return one * count;
  }

  Api api_;
  Target target_;
  CURL* curl_;
  curl_slist* headers_ = nullptr;
  std::string answer_;
  std::size_t largest_ = lines_a_request;
};

Result<> add_headers(const std::string& path, std::vector<std::string>& headers) {
  const std::string text = NIGHTJAR_TRY(read_trusted_file(path));
  for (std::size_t begin = 0; begin < text.size();) {
    const auto end = std::min(text.find('\n', begin), text.size());
    if (end > begin) headers.push_back(text.substr(begin, end - begin));
    begin = end + 1;
    if (!headers.empty() && headers.back().find(':') == std::string::npos)
      return Error(errc::invalid, path + ": expected lines NAME: VALUE");
  }
  return {};
}

}  // namespace

SinkMaker open_http(const OutputSpec& spec, const SinkContext& context) {
  Target target;
  const bool otlp = spec.scheme.starts_with("otlp+");
  target.url = (otlp ? spec.scheme.substr(5) : spec.scheme) + ":" + spec.target;
  if (!spec.target.starts_with("//") || spec.target.size() < 3)
    return Error(errc::invalid, "output " + spec.uri + ": expected " + spec.scheme + "://HOST:PORT/PATH");
  const bool path = spec.target.find('/', 2) != std::string::npos;
  if (otlp && !path) target.url += "/v1/logs";
  target.body.hostname = context.hostname;
  target.body.index = spec.text("index");
  if (otlp) {
    target.body.form = http::Form::otlp;
  } else if (spec.target.ends_with("/_bulk")) {
    target.body.form = http::Form::bulk;
    const bool index_in_url = spec.target.find('/', 2) + sizeof "_bulk" != spec.target.size();
    if (target.body.index.empty() && !index_in_url) target.body.index = "nightjar";
  }
  target.timeout = std::max<std::uint64_t>(1, NIGHTJAR_TRY(spec.seconds("timeout", timeout_s)));
  target.ca_file = spec.text("ca-file");
  target.headers = {"Content-Type: " + std::string(http::content_type(target.body.form)), "Expect:"};
  if (const std::string file = spec.text("header-file"); !file.empty())
    NIGHTJAR_CHECK(add_headers(file, target.headers));
  return std::make_unique<HttpSink>(NIGHTJAR_TRY(load_api()), std::move(target));
}

}  // namespace nightjar
