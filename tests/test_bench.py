# SPDX-License-Identifier: Apache-2.0
"""What bench/run computes: no sensor and no root."""

import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import bench, contenders  # noqa: E402


def result(seconds, cpu, sensor=0.0, operations=1000):
    return {"seconds": seconds, "user": cpu / 2, "system": cpu / 2, "sensor": sensor, "operations": operations}


class Comparing(unittest.TestCase):
    def test_the_median_of_pairs_and_their_spread(self):
        key = ("execl", 1)
        pairs = [({key: result(1.0, 0.5)}, {key: result(slow, 0.6, 0.1)}) for slow in (1.25, 2.0, 1.0)]
        row = bench.compare(pairs, key)
        self.assertEqual(row["rate"], {"median": 0.8, "min": 0.5, "max": 1.0})
        self.assertAlmostEqual(row["kept"]["median"], 0.5 / 0.7)
        self.assertAlmostEqual(row["more_us"]["median"], 100)
        self.assertAlmostEqual(row["sensor_us"]["median"], 100)

    def test_no_cpu_time_gives_no_ratio(self):
        key = ("call", 1)
        self.assertIsNone(bench.compare([({key: result(1, 0)}, {key: result(1, 0)})], key)["kept"])


class Facts(unittest.TestCase):
    def test_a_stream_is_counted_and_its_losses_summed(self):
        fork = b'{"event":{"action":"fork"}}\n'
        stopped = (
            b'{"event":{"action":"sensor_stopped"},"nightjar":{"stats":{"peak_rss_kb":2048,"programs":[],'
            b'"suppressed":{"default":3,"rate_limit":4},'
            b'"events":{"fork":{"sent":3,"lost":5},"exec":{"sent":0,"lost":2}}}}}\n'
        )
        facts = contenders.session_facts([fork, fork, fork, stopped])
        self.assertEqual(facts["events"], {"fork": 3, "sensor_stopped": 1})
        self.assertEqual(facts["bytes"]["fork"], 3 * len(fork))
        self.assertEqual((facts["lost"], facts["suppressed"], facts["peak_rss_mb"]), (7, 7, 2.0))


class Sizes(unittest.TestCase):
    def test_programs_and_maps_are_told_apart_and_summed(self):
        held = {
            ("prog", 5): {"memlock": "8192", "verified_insns": "101"},
            ("prog", 7): {"memlock": "4096", "verified_insns": "13"},
            ("map", 5): {"memlock": "4194304"},
        }
        sizes = bench.sizes_of(held)
        self.assertEqual((sizes["programs"], sizes["instructions verified"], sizes["maps"]), (2, 114, 1))
        self.assertEqual(sizes["their memory at most, MB"], "4.2")


class Documents(unittest.TestCase):
    def test_only_what_stands_between_the_marks_is_replaced(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "doc.md"
            path.write_text(f"before\n{bench.BEGIN}\nold\n{bench.END}\nafter\n")
            bench.put_into(path, "new")
            self.assertEqual(path.read_text(), f"before\n{bench.BEGIN}\n\nnew\n\n{bench.END}\nafter\n")
            path.write_text("no marks")
            with self.assertRaises(ValueError):
                bench.put_into(path, "new")


if __name__ == "__main__":
    unittest.main()
