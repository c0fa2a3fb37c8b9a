import Foundation
import Glibc
import Shared
import Testing

/// Hubs that are down, slow, cut off or something else altogether: nothing is lost, and the next sync goes on.
@Suite("Bad lines", .timeLimit(.minutes(10)))
struct BadLineTests {
    /// A node with three rows that has joined a hub over a line that can be made bad.
    private struct Joined {
        let world: World
        let node: Replica
        let hub: Replica
        let server: HubProcess
        let line: LineProxy

        init() async throws {
            world = try World()
            node = try await world.node("a")
            hub = try await world.hub("h")
            server = try await HubProcess(hub)
            line = try LineProxy(to: server.port)
            for number in 1...3 { try await node.putMajor("ZY0\(number)") }
            try await node("join", "--invite", hub.invite("i", "--url", line.url)).expect(0)
        }

        /// Sends the node elsewhere, as a changed name server would.
        func point(to url: String) throws {
            let file = URL(fileURLWithPath: ParentLink.path(node.home))
            var link = try #require(WireJSON.decode(ParentLink.self, from: Array(Data(contentsOf: file))))
            link.url = url
            try link.save(node.home)
        }

        /// Everything is still here, and a good line brings it all to the hub.
        func endsWell(rows: Int = 3, sourceLocation: SourceLocation = #_sourceLocation) async throws {
            line.set(LineProxy.Fault())
            #expect(try await node.count("general_major") == rows, sourceLocation: sourceLocation)
            try await node("sync", "--wait", "20").expect(0, sourceLocation: sourceLocation)
            #expect(try await node.digest() == hub.digest(), sourceLocation: sourceLocation)
            #expect(try await node.status("pending_rows") + node.status("outbox_segments") == 0, sourceLocation: sourceLocation)
        }
    }

    @Test func aHubThatIsDown() async throws {
        let joined = try await Joined()
        await joined.server.stop()
        let dead = try LoopbackSocket()     // bound, not listening: nobody else gets the port
        try joined.point(to: "http://127.0.0.1:\(dead.port)")
        try await joined.node("sync").expect(4, "refused the connection", "127.0.0.1:\(dead.port)", "try later")
        try await joined.node.putMajor("ZY04")
        #expect(try await joined.node.status("pending_rows") == 4)
        let again = try await HubProcess(joined.hub)
        try joined.point(to: again.url)
        try await joined.endsWell(rows: 4)
    }

    @Test func aNameThatNobodyKnows() async throws {
        let joined = try await Joined()
        try joined.point(to: "https://hub.invalid:8640")
        try await joined.node("sync").expect(4, "hub.invalid:8640", "nothing is lost")
        try joined.point(to: joined.line.url)
        try await joined.endsWell()
    }

    @Test(arguments: [
        (500, "text/html", "<html>Internal error</html>", "sent HTTP 500, text/html, unsigned"),
        (502, "text/html", "<html>Bad gateway</html>", "A gateway answers in the hub's place"),
        (200, "text/html", "<html>请登录校园网</html>", "A login page of the network"),
        (200, "application/json", "{}", "sent HTTP 200, application/json, unsigned"),
    ])
    func somethingElseAnswers(status: Int, type: String, page: String, said: String) async throws {
        let joined = try await Joined()
        let other = try ScriptedServer { connection in
            while connection.readRequest() != nil {
                connection.send(
                    "HTTP/1.1 \(status) X\r\nContent-Type: \(type)\r\nContent-Length: \(page.utf8.count)\r\n\r\n\(page)")
            }
        }
        try joined.point(to: "http://127.0.0.1:\(other.port)")
        try await joined.node("sync").expect(4, "The answer is not from a zzsync hub", said)
        try joined.point(to: joined.line.url)
        try await joined.endsWell()
    }

    @Test func somethingThatSpeaksNoHTTPAnswers() async throws {
        let joined = try await Joined()
        let other = try ScriptedServer { connection in
            guard connection.readRequest() != nil else { return }
            connection.send("SSH-2.0-OpenSSH_9.2\r\n")
        }
        try joined.point(to: "http://127.0.0.1:\(other.port)")
        try await joined.node("sync").expect(4, "is not HTTP", "Check the hub's address")
        try joined.point(to: joined.line.url)
        try await joined.endsWell()
    }

    @Test func aLineCutInTheUploadGoesOnWhereItBroke() async throws {
        let joined = try await Joined()
        // Rows that do not compress, so that the segment is longer than what passes.
        try await joined.node.sql(
            """
            WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)
            INSERT INTO general_major (major_number, remark) SELECT 'W' || i, hex(randomblob(90)) FROM n
            """)
        joined.line.set(LineProxy.Fault(bytesUpMax: 20_000))
        try await joined.node("sync").expect(4, "broke after", "it goes on where it stopped")
        let waiting = try await joined.node.status("outbox_bytes")
        #expect(waiting > 25_000)
        joined.line.set(LineProxy.Fault())
        try await joined.node("sync", "--wait", "20").expect(0)
        // Less than the whole: what had arrived was not sent again.
        #expect(joined.line.passed.up < waiting, "\(joined.line.passed.up) of \(waiting)")
        try await joined.endsWell(rows: 303)
    }

    @Test func aLineCutInTheAnswerAppliesNothingHalf() async throws {
        let joined = try await Joined()
        try await joined.node("sync", "--wait", "20").expect(0)
        let second = try await joined.world.node("b")
        try await second("join", "--invite", joined.hub.invite("j", "--url", joined.line.url)).expect(0)
        joined.line.set(LineProxy.Fault(bytesDownMax: 900))     // hello passes, the log page does not
        try await second("sync").expect(4, "broke after")
        #expect([0, 3].contains(try await second.count("general_major")))
        joined.line.set(LineProxy.Fault())
        try await second("sync").expect(0)
        #expect(try await second.digest() == joined.hub.digest())
        try await joined.endsWell()
    }

    @Test func bytesThatChangeOnTheWayAreNoticed() async throws {
        let joined = try await Joined()
        joined.line.set(LineProxy.Fault(spoilsAnswers: true))
        let ended = try await joined.node("sync")
        #expect([4, 5].contains(ended.code))
        ended.expect(ended.code, "is not signed by hub")
        try await joined.endsWell()
    }

    @Test func aSlowHubIsOnlySlow() async throws {
        let joined = try await Joined()
        joined.line.set(LineProxy.Fault(pieceBytes: 64))
        try await joined.node("sync", "--wait", "20").expect(0)
        try await joined.endsWell()
    }

    @Test func aSyncWhileAnotherIsUnderWayNamesItsProcess() async throws {
        let joined = try await Joined()
        let asked = AsyncStream<Void>.makeStream()
        let silent = try ScriptedServer { connection in
            guard connection.readRequest() != nil else { return }
            asked.continuation.yield()
            connection.waitForClose()
        }
        try joined.point(to: "http://127.0.0.1:\(silent.port)")
        let first = try joined.node.start("sync")
        for await _ in asked.stream { break }
        try await joined.node("sync").expect(7, "Another `sync` is under way", "process \(first.pid)", "Wait until it is done")
        // Everything else works meanwhile.
        try await joined.node.putMajor("ZY04")
        try await joined.node("sync", "--dry-run").expect(0, "Would send 4 changed rows")
        first.signal(SIGKILL)
        _ = await first.ended()
        try joined.point(to: joined.line.url)
        try await joined.endsWell(rows: 4)
    }

    @Test func aHubThatIsBeingForwardedTwice() async throws {
        let world = try World()
        let ministry = try await world.hub("m", level: "ministry", code: "00")
        let province = try await world.hub("p")
        let server = try await HubProcess(ministry)
        let file = world.path("i")
        try await ministry("invite", "--hub", "41", "--name", "河南省", "-o", file).expect(0)
        try await province("join", "--invite", file).expect(0)
        try await province("join", "--invite", file).expect(3, "has joined a parent already", "hub forward")
        let asked = AsyncStream<Void>.makeStream()
        let silent = try ScriptedServer { connection in
            guard connection.readRequest() != nil else { return }
            asked.continuation.yield()
            connection.waitForClose()
        }
        // A hub without schools has nothing to ask: give it one.
        try await province("invite", "--school", World.school, "--name", "校", "--url", "http://127.0.0.1:1", "-o", world.path("j")).expect(0)
        var link = try #require(
            WireJSON.decode(ParentLink.self, from: Array(Data(contentsOf: URL(fileURLWithPath: ParentLink.path(province.home))))))
        let good = link
        link.url = "http://127.0.0.1:\(silent.port)"
        try link.save(province.home)
        let first = try province.start("forward")
        for await _ in asked.stream { break }
        try await province("forward").expect(7, "Another `forward` is under way", "process \(first.pid)")
        first.signal(SIGKILL)
        _ = await first.ended()
        try good.save(province.home)
        try await province("forward").expect(0)
        _ = server
    }

    @Test func workBeforeAnyHubIsKnown() async throws {
        let world = try World()
        let node = try await world.node("a")
        try await node.putMajor("ZY01")
        try await node("sync").expect(3, "has not joined a hub yet; everything entered stays here", "zzsync join --invite FILE")
        try await node("status").expect(0, "none joined", "1 changed rows")
        try await node("trace", "general.major", "ZY01").expect(0)
        try await node("check").expect(0)
        #expect(try await node.count("zz_mark") == 1)
        #expect(try await node.count("zz_outbox") == 0)
    }
}
