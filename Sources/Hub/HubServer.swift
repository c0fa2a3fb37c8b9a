// The hub over HTTP: the only file that imports the HTTP library. Every request is authenticated by its site's key before
// anything else, every answer is signed, errors included.

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

    private let service: HubService
    private let options: Options

    package init(_ service: HubService, options: Options) {
        self.service = service
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
        router.post("v1/enrol") { request, _ in await enrol(request) }
        router.post("v1/hello") { request, _ in
            await answer(request) { site, body in
                guard let hello = WireJSON.decode(HelloRequest.self, from: body) else {
                    throw WireError(.malformed, "this is no hello")
                }
                return .json(WireJSON.encode(try await service.hello(hello, from: site)))
            }
        }
        router.get("v1/log/:scope") { request, context in
            await answer(request) { site, _ in
                let scope = try await self.scope(context, site)
                let after = Position(request.uri.queryParameters.get("after", as: Int64.self) ?? 0)
                let max = request.uri.queryParameters.get("max", as: Int.self) ?? 1 << 20
                guard let page = try await service.logPage(scope, after: after, bytesMax: max) else { return .nothing }
                return .bytes(page)
            }
        }
        router.get("v1/receipt/:scope") { request, context in
            await answer(request) { site, _ in
                let scope = try await self.scope(context, site)
                return .json(WireJSON.encode(try await service.receipt(scope, site: site)))
            }
        }
        router.get("v1/segments/:scope/:site/:range") { request, context in
            await answer(request) { site, _ in
                let upload = try await self.upload(context, site)
                return .json(WireJSON.encode(try standing(upload)))
            }
        }
        router.put("v1/segments/:scope/:site/:range") { request, context in
            // In a task of its own: a line that breaks cancels the request's task, and what had arrived by then must
            // still reach the spool.
            await Task { await put(request, context) }.value
        }
        return router
    }

    private func scope(_ context: BasicRequestContext, _ site: KnownSite) async throws -> ScopeID {
        guard let scope = context.parameters.get("scope").flatMap({ ScopeID($0) }) else {
            throw WireError(.malformed, "the path names no scope")
        }
        try await service.checkAccess(scope, site)
        return scope
    }

    // MARK: one exchange

    private enum Reply {
        case json([UInt8])
        case bytes([UInt8])
        case nothing
    }

    /// Authenticates, runs, signs. Bodies of these calls are small.
    private func answer(
        _ request: Request, _ body: (KnownSite, [UInt8]) async throws -> Reply
    ) async -> Response {
        let target = request.uri.string
        do {
            let bytes = try await collect(request)
            let site = try await authenticate(request, body: bytes)
            return reply(try await body(site, bytes), target: target)
        } catch {
            return refusal(error, target: target)
        }
    }

    private func collect(_ request: Request) async throws -> [UInt8] {
        do {
            return Array(try await request.body.collect(upTo: 4 << 20).readableBytesView)
        } catch {
            throw WireError(.tooLarge, "the request is larger than 4 MiB or was cut off")
        }
    }

    private func authenticate(_ request: Request, body: [UInt8]) async throws -> KnownSite {
        guard let header = request.headers[.authorization], let signature = RequestSignature(header: header) else {
            throw WireError(.unauthenticated, "the request is not signed by a site")
        }
        guard let site = try await service.site(signature.site) else {
            throw WireError(.unauthenticated, "site \(signature.site) is not enrolled at this hub")
        }
        guard !site.isRevoked else { throw WireError(.unauthenticated, "site \(signature.site) was revoked") }
        guard
            signature.isValid(
                method: request.method.rawValue, target: request.uri.string, body: body, signingKey: site.signingKey)
        else { throw WireError(.unauthenticated, "the signature of site \(signature.site) does not fit the request") }
        return site
    }

    private func reply(_ reply: Reply, target: String) -> Response {
        switch reply {
        case .json(let bytes): response(.ok, bytes, target: target, type: "application/json")
        case .bytes(let bytes): response(.ok, bytes, target: target, type: "application/octet-stream")
        case .nothing: response(.noContent, [], target: target, type: nil)
        }
    }

    private func response(
        _ status: HTTPResponse.Status, _ bytes: [UInt8], target: String, type: String?, extra: HTTPFields = [:]
    ) -> Response {
        var headers = extra
        if let type { headers[.contentType] = type }
        headers[HTTPField.Name(ReplySignature.headerName)!] = ReplySignature.header(
            status: status.code, target: target, body: bytes, keys: service.home.keys)
        return Response(status: status, headers: headers, body: .init(byteBuffer: ByteBuffer(bytes: bytes)))
    }

    private func refusal(_ error: any Error, target: String) -> Response {
        let wire: WireError
        var extra: HTTPFields = [:]
        switch error {
        case let error as WireError:
            wire = error
        case let failure as Failure where failure.kind == .busy:
            wire = WireError(.busy, failure.what)
            extra[.retryAfter] = "5"
        default:
            wire = WireError(.internalError, storeFailure(error, path: "the hub's store").what)
        }
        let body = WireJSON.encode(ErrorReply(code: wire.code, message: wire.message))
        return response(
            .init(code: wire.code.httpStatus), body, target: target, type: "application/json", extra: extra)
    }

    // MARK: enrolment

    private func enrol(_ request: Request) async -> Response {
        let target = request.uri.string
        do {
            let bytes = try await collect(request)
            guard let enrolment = WireJSON.decode(EnrolRequest.self, from: bytes),
                let header = request.headers[.authorization], let signature = RequestSignature(header: header),
                let key = Data(base64Encoded: enrolment.signingKey),
                signature.isValid(method: "POST", target: target, body: bytes, signingKey: Array(key)),
                signature.site == PublicKeys.site(ofSigningKey: Array(key))
            else { throw WireError(.malformed, "the enrolment is not signed with its own key") }
            return reply(.json(WireJSON.encode(try await service.enrol(enrolment))), target: target)
        } catch {
            return refusal(error, target: target)
        }
    }

    // MARK: uploads

    private struct Upload {
        var scope: ScopeID
        var site: KnownSite
        var first: Seq
        var last: Seq
        var part: String
    }

    private func upload(_ context: BasicRequestContext, _ site: KnownSite) async throws -> Upload {
        let scope = try await self.scope(context, site)
        let range = (context.parameters.get("range") ?? "").split(separator: "-").compactMap { Int64($0) }
        guard context.parameters.get("site") == site.site.description, range.count == 2, range[0] >= 1, range[1] >= range[0]
        else { throw WireError(.malformed, "the path names no segment of this site") }
        let (first, last) = (Seq(range[0]), Seq(range[1]))
        return Upload(
            scope: scope, site: site, first: first, last: last,
            part: service.home.inbox.partPath(scope, site.site, first, last))
    }

    private func standing(_ upload: Upload) throws -> UploadReply {
        if let size = try service.home.inbox.size(upload.scope, upload.site.site, upload.first) {
            return UploadReply(offset: size, received: true)
        }
        return UploadReply(offset: service.home.inbox.partSize(upload.part), received: false)
    }

    /// Takes bytes from an offset on. What arrived before a break stays in the spool; the answer to the next question is
    /// the offset to continue at.
    private func put(_ request: Request, _ context: BasicRequestContext) async -> Response {
        let target = request.uri.string
        do {
            let site = try await authenticate(request, body: [])
            let upload = try await self.upload(context, site)
            let head = try service.home.inbox.head(upload.scope, site.site).last
            let size = request.uri.queryParameters.get("size", as: Int.self) ?? 0
            let offset = request.uri.queryParameters.get("offset", as: Int.self) ?? 0
            if head >= upload.last {
                return reply(.json(WireJSON.encode(UploadReply(offset: size, received: true))), target: target)
            }
            guard upload.first == head.advanced(by: 1) else {
                throw WireError(.outOfChain, "the hub holds seqs up to \(head), not \(upload.first.advanced(by: -1))")
            }
            guard size > 0, size <= Inbox.uploadBytesMax else {
                throw WireError(.tooLarge, "a segment has 1 to \(Inbox.uploadBytesMax) bytes, not \(size)")
            }
            let present = service.home.inbox.partSize(upload.part)
            guard offset == present else {
                throw WireError(.wrongOffset, "the upload continues at \(present), not \(offset)")
            }
            let end = try await receive(request, into: upload.part, at: offset, size: size)
            KillPoint.reach("push.part")
            if end == size {
                try await service.complete(upload.part, scope: upload.scope, site: site, first: upload.first, last: upload.last)
            }
            return reply(.json(WireJSON.encode(UploadReply(offset: end, received: end == size))), target: target)
        } catch {
            return refusal(error, target: target)
        }
    }

    /// Appends the body to the part file; fsyncs before it answers. Blocking writes stay off the cooperative pool.
    private func receive(_ request: Request, into part: String, at offset: Int, size: Int) async throws -> Int {
        let file = try await NIOThreadPool.singleton.runIfActive { try SpoolFile(part) }
        var at = offset
        do {
            for try await chunk in request.body {
                guard at + chunk.readableBytes <= size else { throw WireError(.tooLarge, "more bytes than the upload's size") }
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
}
