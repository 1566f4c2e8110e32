// SPDX-License-Identifier: Apache-2.0
#include "atlas/digest.hpp"

#include <memory>

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

namespace nightjar::atlas {
namespace {

struct Free {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  void operator()(BIO* bio) const { BIO_free(bio); }
};
using Key = std::unique_ptr<EVP_PKEY, Free>;
using Context = std::unique_ptr<EVP_MD_CTX, Free>;

const unsigned char* data_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

Result<Key> read_key(const std::string& pem, bool must_be_private) {
  const auto open = [&] {
    return std::unique_ptr<BIO, Free>(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  };
  Key key(PEM_read_bio_PrivateKey(open().get(), nullptr, nullptr, nullptr));
  if (!key && !must_be_private) key.reset(PEM_read_bio_PUBKEY(open().get(), nullptr, nullptr, nullptr));
  if (!key || EVP_PKEY_id(key.get()) != EVP_PKEY_ED25519)
    return Error(errc::invalid, std::string("not a") + (must_be_private ? " private" : "n") +
                                    " Ed25519 key in PEM form (openssl genpkey -algorithm ed25519 makes one)");
  return key;
}

}  // namespace

Digest sha256(Bytes bytes) {
  Digest digest{};
  unsigned size = 0;
  EVP_Digest(bytes.data(), bytes.size(), reinterpret_cast<unsigned char*>(digest.data()), &size, EVP_sha256(), nullptr);
  return digest;
}

Result<std::string> sign(Bytes message, const std::string& key_pem) {
  const Key key = NIGHTJAR_TRY(read_key(key_pem, true));
  const Context context(EVP_MD_CTX_new());
  std::string signature(64, '\0');
  std::size_t size = signature.size();
  if (EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key.get()) != 1 ||
      EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size,
                     data_of(as_text(message)), message.size()) != 1)
    return Error(errc::system, "libcrypto cannot sign");
  return signature;
}

Result<std::string> public_key(const std::string& pem) {
  const Key key = NIGHTJAR_TRY(read_key(pem, false));
  std::string bytes(32, '\0');
  std::size_t size = bytes.size();
  if (EVP_PKEY_get_raw_public_key(key.get(), reinterpret_cast<unsigned char*>(bytes.data()), &size) != 1)
    return Error(errc::invalid, "the key has no public part");
  return bytes;
}

bool verifies(Bytes message, std::string_view signature, std::string_view public_key) {
  const Key key(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, data_of(public_key), public_key.size()));
  const Context context(EVP_MD_CTX_new());
  return key && EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1 &&
         EVP_DigestVerify(context.get(), data_of(signature), signature.size(), data_of(as_text(message)),
                          message.size()) == 1;
}

}  // namespace nightjar::atlas
