// The hub over HTTP: the only file that imports the HTTP library. It carries bytes between the line and `HubEndpoint`, which
// authenticates every request and signs every answer; uploads are streamed to disk as they arrive.

import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdCore
import HummingbirdTLS
import Logging
import NIOCore
import NIOPosix
import NIOSSL
import ServiceLifecycle
import Shared
import UnixSignals

package struct HubServer {
    package struct Options: Sendable {
        package var host: String
        package var port: Int
        package var certificateFile: String?
        package var keyFile: String?
        package init(host: String, port: Int, certificateFile: String?, keyFile: String?) {
            self.host = host
            self.port = port
            self.certificateFile = certificateFile
            self.keyFile = keyFile
        }
    }

    private let endpoint: HubEndpoint
    private let options: Options

    package init(_ service: HubService, options: Options) {
        endpoint = HubEndpoint(service)
        self.options = options
    }

    /// Serves until SIGTERM or SIGINT; running requests finish.
    ///
    /// - Parameter onListening: is told the port that was really taken.
    /// - Parameter background: further work with the same lifetime: the merge worker, periodic forwarding.
    package func run(
        logger: Logger, onListening: @escaping @Sendable (Int) async -> Void,
        background: [@Sendable () async -> Void]
    ) async throws {
        let application = Application(
            router: router(), server: try serverBuilder(),
            configuration: .init(address: .hostname(options.host, port: options.port), serverName: "zzsync"),
            onServerRunning: { channel in await onListening(channel.localAddress?.port ?? 0) }, logger: logger)
        var services: [ServiceGroupConfiguration.ServiceConfiguration] = background.map {
            .init(service: BackgroundService(body: $0))
        }
        services.append(.init(service: application))
        var configuration = ServiceGroupConfiguration(
            services: services, gracefulShutdownSignals: [.sigterm, .sigint], logger: logger)
        configuration.maximumGracefulShutdownDuration = .seconds(10)
        try await ServiceGroup(configuration: configuration).run()
    }

    private struct BackgroundService: Service {
        let body: @Sendable () async -> Void
        func run() async throws {
            await cancelWhenGracefulShutdown { await body() }
        }
    }

    /// HTTP/1.1 only: at a graceful stop a running HTTP/2 request would lose its answer.
    private func serverBuilder() throws -> HTTPServerBuilder {
        let http = HTTP1Channel.Configuration(idleTimeout: .seconds(120))
        guard let certificate = options.certificateFile, let key = options.keyFile else { return .http1(configuration: http) }
        do {
            var tls = TLSConfiguration.makeServerConfiguration(
                certificateChain: try NIOSSLCertificate.fromPEMFile(certificate).map { .certificate($0) },
                privateKey: .privateKey(try NIOSSLPrivateKey(file: key, format: .pem)))
            tls.minimumTLSVersion = .tlsv12
            _ = try NIOSSLContext(configuration: tls)       // a key of another certificate is found here, not at the first call
            return try .tls(.http1(configuration: http), tlsConfiguration: tls)
        } catch {
            throw Failure(
                .usage, "The certificate \(certificate) or its key \(key) cannot be used: \(error).",
                next: "Name PEM files with --tls-cert and --tls-key.")
        }
    }

    // MARK: routes

    private func router() -> Router<BasicRequestContext> {
        let router = Router()
        // The endpoint knows the paths, so that "there is nothing" is signed too: a newer child must not take this hub for a
        // login page.
        for path in ["/", "**"] as [RouterPath] {
            router.get(path) { request, _ in await answer(request, .get) }
            router.post(path) { request, _ in await answer(request, .post) }
            router.put(path) { request, _ in
                // In a task of its own: a line that breaks cancels the request's task, and what had arrived by then must
                // still reach the spool.
                await Task { await put(request) }.value
            }
        }
        return router
    }

    /// Calls whose body is small.
    private func answer(_ request: Request, _ method: WireRequest.Method) async -> Response {
        var wire = wireRequest(request, method)
        let bytesMax = HubEndpoint.bytesMax(of: wire.target)
        do {
            wire.body = Array(try await request.body.collect(upTo: bytesMax).readableBytesView)
        } catch {
            let cut = WireError(.tooLarge, "the request is larger than \(bytesMax) bytes or was cut off")
            return response(endpoint.refusal(cut, target: wire.target))
        }
        return response(await endpoint.answer(wire))
    }

    /// Takes bytes from an offset on. What arrived before a break stays in the spool; the answer to the next question is
    /// the offset to continue at.
    private func put(_ request: Request) async -> Response {
        let wire = wireRequest(request, .put)
        do {
            switch try await endpoint.begin(wire) {
            case .held(let reply): return response(reply)
            case .open(let upload):
                let end = try await receive(request, upload)
                KillPoint.reach("push.part", in: upload.part)
                return response(await endpoint.finish(upload, end: end))
            }
        } catch {
            return response(endpoint.refusal(error, target: wire.target))
        }
    }

    /// Appends the body to the part file; fsyncs before it answers. Blocking writes stay off the cooperative pool.
    private func receive(_ request: Request, _ upload: HubEndpoint.Upload) async throws -> Int {
        let file = try await NIOThreadPool.singleton.runIfActive { try SpoolFile(upload.part) }
        var at = upload.offset
        do {
            for try await chunk in request.body {
                guard at + chunk.readableBytes <= upload.size else { throw HubEndpoint.tooMuch }
                let bytes = Array(chunk.readableBytesView)
                let place = at
                try await NIOThreadPool.singleton.runIfActive { try file.write(bytes, at: place) }
                at += bytes.count
            }
        } catch let error as WireError {
            throw error
        } catch let error as Failure {
            throw error
        } catch {
            throw WireError(.internalError, "the upload broke off at \(at)")
        }
        try await NIOThreadPool.singleton.runIfActive { try file.sync() }
        return at
    }

    // MARK: between the library's types and ours

    private func wireRequest(_ request: Request, _ method: WireRequest.Method) -> WireRequest {
        var headers: [String: String] = [:]
        if let authorization = request.headers[.authorization] { headers[RequestSignature.headerName] = authorization }
        return WireRequest(method, request.uri.string, headers: headers)
    }

    private func response(_ reply: WireReply) -> Response {
        var headers: HTTPFields = [:]
        for (name, value) in reply.headers {
            if let name = HTTPField.Name(name) { headers[name] = value }
        }
        return Response(
            status: .init(code: reply.status), headers: headers, body: .init(byteBuffer: ByteBuffer(bytes: reply.body)))
    }
}
