import Foundation
import Shared
import Testing

/// A hub with a certificate of its own making, as a province without an authority would run it.
@Suite("TLS", .timeLimit(.minutes(10)))
struct TLSTests {
    /// A self-signed certificate by openssl: the paths of certificate and key.
    private func certificate(_ world: World, _ name: String) async throws -> (certificate: String, key: String) {
        let (certificate, key) = (world.path("\(name).pem"), world.path("\(name).key"))
        try await Programs.run(
            Programs.openssl,
            [
                "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
                "/CN=hub.example", "-keyout", key, "-out", certificate,
            ]
        ).expect(0)
        return (certificate, key)
    }

    private func tlsHub(_ world: World) async throws -> (hub: Replica, server: HubProcess, certificate: String) {
        let hub = try await world.hub("h")
        let made = try await certificate(world, "hub")
        let server = try await HubProcess(hub, "--tls-cert", made.certificate, "--tls-key", made.key)
        #expect(server.url.hasPrefix("https://127.0.0.1:"))
        return (hub, server, made.certificate)
    }

    @Test func aPinnedCertificateCarriesJoinAndSync() async throws {
        let world = try World()
        let (hub, server, certificate) = try await tlsHub(world)
        let node = try await world.node("a")
        try await node.putMajor("ZY01")
        let invite = try await hub.invite("i", "--tls-cert", certificate)
        #expect(try Invite.load(from: invite).certificatePin?.hasPrefix("sha256//") == true)
        try await node("join", "--invite", invite).expect(0, "Joined 河南省 at https://")
        try await node("sync", "--wait", "20").expect(0)
        #expect(try await node.digest() == hub.digest())
        _ = server
    }

    @Test func anotherCertificateIsRefused() async throws {
        let world = try World()
        let (hub, server, _) = try await tlsHub(world)
        let stranger = try await certificate(world, "stranger")
        let node = try await world.node("a")
        try await node.putMajor("ZY01")
        let wrong = try await hub.invite("wrong", "--tls-cert", stranger.certificate)
        try await node("join", "--invite", wrong)
            .expect(5, "shows another certificate key than the invite named", "Somebody may stand between")
        // Without a pin the system's authorities decide, and none of them knows this certificate.
        try await node("join", "--invite", hub.invite("unpinned")).expect(5, "certificate", "is not trusted")
        #expect(try await node.count("general_major") == 1)
        #expect(!ParentLink.exists(node.home))
        _ = server
    }

    @Test func aReplacedCertificateStopsTheSyncAndLosesNothing() async throws {
        let world = try World()
        let (hub, server, certificate) = try await tlsHub(world)
        let node = try await world.node("a")
        try await node("join", "--invite", hub.invite("i", "--tls-cert", certificate)).expect(0)
        await server.stop()
        let other = try await self.certificate(world, "other")
        let again = try await HubProcess(
            hub, "--tls-cert", other.certificate, "--tls-key", other.key, listen: "127.0.0.1:\(server.port)")
        try await node.putMajor("ZY01")
        try await node("sync").expect(5, "another certificate key", "ask its operator")
        #expect(try await node.status("pending_rows") == 1)
        _ = again
    }

    @Test func theTwoKindsOfPortsAreToldApart() async throws {
        let world = try World()
        let (hub, server, certificate) = try await tlsHub(world)
        let plain = try await HubProcess(world.hub("h2"))
        let node = try await world.node("a")
        let encryptedToPlain = try await hub.invite("i", "--tls-cert", certificate, "--url", "https://127.0.0.1:\(plain.port)")
        try await node("join", "--invite", encryptedToPlain).expect(4, "No encrypted connection to the hub", "https port")
        let plainToEncrypted = try await hub.invite("j", "--url", "http://127.0.0.1:\(server.port)")
        let ended = try await node("join", "--invite", plainToEncrypted)
        ended.expect(4, "127.0.0.1:\(server.port)")
    }

    @Test func filesThatAreNoCertificateAreNamed() async throws {
        let world = try World()
        let hub = try await world.hub("h")
        let made = try await certificate(world, "hub")
        try Data("no".utf8).write(to: URL(fileURLWithPath: world.path("no.pem")))
        func serve(_ certificate: String, _ key: String) async throws -> Ended {
            try await hub("serve", "--listen", "127.0.0.1:0", "--tls-cert", certificate, "--tls-key", key)
        }
        try await serve(world.path("no.pem"), made.key).expect(2, "no.pem", "cannot be used", "Name PEM files")
        try await serve(made.certificate, world.path("nowhere")).expect(2, "nowhere", "cannot be used")
        try await serve(made.certificate, await certificate(world, "b").key).expect(2, "cannot be used")
        try await hub("serve", "--listen", "127.0.0.1:0", "--tls-cert", made.certificate).expect(2, "belong together")
        try await hub(
            "invite", "--school", World.school, "--name", "校", "--url", "https://127.0.0.1:1", "--tls-cert", world.path("no.pem"), "-o",
            world.path("i")
        ).expect(2, "no.pem holds no PEM certificate.")
    }

    @Test func plainHTTPBeyondThisMachineMustBeSaid() async throws {
        let world = try World()
        let hub = try await world.hub("h")
        try await hub("serve", "--listen", "0.0.0.0:0").expect(3, "Plain HTTP on 0.0.0.0", "--tls-cert", "--insecure-http")
        let school = ["--school", World.school, "--name", "校", "-o", world.path("i")]
        try await hub.run(["invite", "--url", "http://10.1.2.3:8640"] + school).expect(3, "is plain HTTP", "https")
        let server = try await HubProcess(hub, "--insecure-http", listen: "0.0.0.0:0")
        try await hub.run(["invite", "--insecure-http"] + school).expect(2, "listens on all addresses", "--url")
        #expect(!FileManager.default.fileExists(atPath: world.path("i")))
        // Said on both sides, it goes.
        let file = try await hub.invite("j", "--insecure-http", "--url", "http://127.0.0.1:\(server.port)")
        let node = try await world.node("a")
        try await node("join", "--invite", file).expect(0)
        // An invite that somebody turned to a plain address by hand is refused here, before a byte is sent.
        let good = try String(contentsOfFile: await hub.invite("k", "--url", "https://10.1.2.3:8640"), encoding: .utf8)
        try good.replacing("https:", with: "http:").write(toFile: world.path("k"), atomically: true, encoding: .utf8)
        try await world.node("b")("join", "--invite", world.path("k")).expect(3, "is plain HTTP: everybody on the way")
    }
}
