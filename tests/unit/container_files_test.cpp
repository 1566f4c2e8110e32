// SPDX-License-Identifier: Apache-2.0
#include "agent/container_files.hpp"

#include <filesystem>

#include <gtest/gtest.h>

#include "temp_root.hpp"

namespace nightjar {
namespace {

const std::string id(64, 'a');

class ContainerFiles : public test::TempRoot {
 protected:
  void expect(const std::string& image, const std::string& name) const {
    const ContainerDetails found = details_of_container(id, root_);
    EXPECT_EQ(found.image, image);
    EXPECT_EQ(found.name, name);
  }
};

TEST_F(ContainerFiles, of_docker) {
  write("/var/lib/docker/containers/" + id + "/config.v2.json",
        R"({"State":{"Running":true},"ID":"x","Image":"sha256:12","Name":"/web","Config":{"Image":"nginx:1.27"}})");
  expect("nginx:1.27", "web");
}

TEST_F(ContainerFiles, of_containerd_under_kubernetes) {
  write("/run/containerd/io.containerd.runtime.v2.task/k8s.io/" + id + "/config.json",
        R"({"ociVersion":"1.1.0","annotations":{"io.kubernetes.cri.container-name":"app",)"
        R"("io.kubernetes.cri.image-name":"registry.example/app:3"}})");
  expect("registry.example/app:3", "app");
}

TEST_F(ContainerFiles, of_cri_o) {
  write("/var/lib/containers/storage/overlay-containers/" + id + "/userdata/config.json",
        R"({"annotations":{"io.kubernetes.cri-o.ImageName":"quay.example/db:9","io.kubernetes.container.name":"db"}})");
  expect("quay.example/db:9", "db");
}

TEST_F(ContainerFiles, of_podman) {
  write("/var/lib/containers/storage/overlay-containers/containers.json",
        R"([{"id":"other","metadata":"{\"image-name\":\"no\"}"},{"id":")" + id +
            R"(","metadata":"{\"image-name\":\"docker.io/library/alpine:3\",\"name\":\"quiet_fox\"}"}])");
  expect("docker.io/library/alpine:3", "quiet_fox");
}

TEST_F(ContainerFiles, that_are_missing_broken_or_strange_tell_nothing) {
  expect("", "");
  write("/var/lib/docker/containers/" + id + "/config.v2.json", R"({"Config":{"Image":7},"Name":)");
  expect("", "");
  EXPECT_EQ(details_of_container("../../etc", root_).image, "");
  std::filesystem::remove_all(root_ + "/var");
  write("/elsewhere", R"({"Config":{"Image":"trap"}})");
  std::filesystem::create_directories(root_ + "/var/lib/docker/containers/" + id);
  std::filesystem::create_symlink(root_ + "/elsewhere", root_ + "/var/lib/docker/containers/" + id + "/config.v2.json");
  expect("", "");
}

}  // namespace
}  // namespace nightjar
