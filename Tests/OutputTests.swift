import Foundation
import Testing

/// What stands on the disk already is never replaced by an export, and a filter that cannot be is told as every other mistake of usage.
@Suite("Output files", .timeLimit(.minutes(10)))
struct OutputTests {
    @Test func aFileThatExistsIsNotReplaced() async throws {
        let world = try World()
        let (hub, node) = (try await world.hub("h"), try await world.node("a"))
        let database = hub.home + "/hub.db", kept = world.path("kept")
        try Data("三百行决定".utf8).write(to: URL(fileURLWithPath: kept))
        try FileManager.default.createSymbolicLink(atPath: world.path("link"), withDestinationPath: world.path("nowhere"))
        let invite = ["invite", "--school", World.school, "--name", "校", "--url", "http://127.0.0.1:1"]
        for words in [["conflicts", "export"], ["requests", "export"], invite] {
            for file in [kept, database, world.path("link")] {
                try await hub.run(words + ["-o", file]).expect(3, "\(file) exists already.", "Name another file with -o")
            }
            try await hub.run(words + ["--output", world.path("\(words[0]).new")]).expect(0)
        }
        try await node("template", "general.class", "-o", kept).expect(3, "\(kept) exists already.")
        try await node("template", "general.class", "-o", node.home + "/node.db").expect(3, "exists already")
        #expect(try String(contentsOfFile: kept, encoding: .utf8) == "三百行决定")
        #expect(!FileManager.default.fileExists(atPath: world.path("nowhere")))
        #expect(try await hub.count("zz_invite") == 1, "an invite that is not written is not given out")
        try await hub("status").expect(0)
    }

    @Test func aSlipOfThePenIsNoEmptyQueue() async throws {
        let world = try World()
        let hub = try await world.hub("h")
        try await hub("conflicts", "list", "--kind", "foo").expect(2, "'foo' is no kind of case", "cell, life, twins, owner, rule, clone")
        try await hub("conflicts", "list", "--school", "123").expect(2, "no school with code 123")
        try await hub("conflicts", "bulk", "--filter", "kind=foo", "--take", "newest", "--reason", "x").expect(2, "'foo' is no kind of case")
        try await hub("conflicts", "export", "--filter", "kind=foo", "-o", world.path("x.xlsx")).expect(2, "'foo' is no kind of case")
        #expect(!FileManager.default.fileExists(atPath: world.path("x.xlsx")))
        try await hub("conflicts", "list", "--kind", "rule").expect(0, "0 open cases.")
        try await hub("conflicts", "journal", "--batch", "9").expect(2, "There is no bulk 9.")
        try await hub("conflicts", "journal", "--since", "昨天").expect(2, "'昨天' is no day.", "--since 2026-11-22")
        try await hub("conflicts", "journal", "--since", "2026-13-40").expect(2, "is no day")
        try await hub("conflicts", "journal", "--last", "0").expect(2, "--last 0")
        try await hub("conflicts", "journal", "--school", "123").expect(2, "no school with code 123")
        try await hub("conflicts", "journal", "--since", "2026-11-22", "--form", "班级信息", "--last", "5").expect(0)
        try await Programs.run(Programs.zzsync, ["simulate", "--seeds", "0"]).expect(2, "--seeds from 1")
    }
}
