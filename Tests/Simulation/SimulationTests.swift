import Foundation
import Testing

@testable import Shared
@testable import zzsync

/// `zzsync simulate` in the tests: seeds that must lose nothing, faults that must have happened, replays that must be the same.
@Suite(.serialized) struct SimulationTests {
    /// Two processes share the seeds; the long run plays 500 with the release build (`Tests/long.sh`, stage simulate).
    private static let seedsOfEach = 20

    @Test func nothingIsLostWhateverHappens() async throws {
        async let first = Self.play("--first", "1", "--seeds", "\(Self.seedsOfEach)")
        async let second = Self.play("--first", "\(Self.seedsOfEach + 1)", "--seeds", "\(Self.seedsOfEach)")
        var (faults, crashes, deeds): ([String: Int], [String: Int], [String: Int]) = ([:], [:], [:])
        var seeds = 0
        for ended in [try await first, try await second] {
            #expect(ended.code == 0, "\(ended.err)")
            let summary = try ended.json()
            seeds += try #require(summary["seeds"] as? Int)
            #expect(try #require(summary["fewest_writes"] as? Int) >= 300)
            #expect(try #require(summary["fewest_schools"] as? Int) >= 5)
            #expect(try #require(summary["fewest_nodes"] as? Int) >= 8)
            faults.merge(try #require(summary["faults"] as? [String: Int]), uniquingKeysWith: +)
            deeds.merge(try #require(summary["deeds"] as? [String: Int]), uniquingKeysWith: +)
            crashes.merge(try #require(summary["crashes"] as? [String: Int]), uniquingKeysWith: +)
        }
        #expect(seeds == 2 * Self.seedsOfEach)
        for fault in Fault.allCases { #expect(faults[fault.rawValue, default: 0] > 0, "'\(fault.rawValue)' has happened") }
        for deed in Deed.allCases { #expect(deeds[deed.rawValue, default: 0] > 0, "'\(deed.rawValue)' has happened") }
        for point in FaultCounts.points { #expect(crashes[point, default: 0] > 0, "a process has ended at \(point)") }
    }

    /// In another process dictionaries have another order and machines other randomness: neither may be heard.
    @Test func oneSeedPlaysTheSameTwice() async throws {
        let catalogue = try Simulation.bedCatalogue(CatalogueLoader.embedded())
        let here = try await Simulation.play(.bed(seed: 3), catalogue: catalogue)
        let there = try await Self.play("--seed", "3").json()
        #expect(here.trace == there["trace"] as? String)
        let other = try await Simulation.play(.bed(seed: 4), catalogue: catalogue)
        #expect(here.trace != other.trace)
    }

    @Test func aPlannerGetsNumbers() async throws {
        let report = try await Self.play("--schools", "5", "--days", "2", "--students", "20").json()
        #expect(report["schools"] as? Int == 5)
        #expect(report["nodes"] as? Int == 6)
        #expect(try #require(report["writes"] as? Int) >= 5 * (20 + 2 * 30))
        let hubs = try #require(report["hubs"] as? [[String: Any]])
        #expect(hubs.map { $0["name"] as? String } == ["ministry", "province"])
        for hub in hubs {
            #expect(try #require(hub["rows_merged"] as? Int) > 5 * 20, "the students have come up to \(hub["name"] ?? "")")
            #expect(try #require(hub["cpu_seconds_per_day"] as? Double) > 0)
        }
        let bytes = try #require(report["first_day_bytes_up"] as? [String: Int])
        #expect(try #require(bytes["median"]) > 20 * 10)
        let lags = try #require(report["lag_minutes"] as? [String: [String: Int]])
        #expect(Set(lags.keys) == ["ministry", "province"])
        let refused = try await Self.play("--schools", "0")
        refused.expect(2, "--schools")
    }

    private static func play(_ words: String...) async throws -> Ended {
        try await Child(Programs.zzsync, ["simulate", "--json"] + words, secondsMax: 600).ended()
    }
}
