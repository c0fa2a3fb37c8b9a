// HTTP over libcurl. The only file that imports it.
//
// One thread owns the multi handle and every transfer in it: libcurl's handles belong to one thread at a time, and a
// blocking wait must not hold one of the few threads of Swift's pool. Callers leave work in an inbox and wake it.

import CCurl
import Foundation
import Glibc
import Synchronization

package final class CurlTransport: Transport {
    package let address: HubAddress
    private let configuration: Configuration
    private let loop: CurlLoop

    /// - Throws: `Failure(.refused)` for plain HTTP that is not allowed. Opens no connection.
    package init(_ address: HubAddress, configuration: Configuration = Configuration()) throws(Failure) {
        try address.checkEncryption(allowInsecureHTTP: configuration.allowInsecureHTTP)
        self.address = address
        self.configuration = configuration
        loop = CurlLoop()
        Thread.detachNewThread { [loop] in loop.run() }
    }

    deinit { loop.stop() }

    /// All bytes so far, those of failed transfers too (which no `WireReply` can tell).
    package var traffic: Traffic { loop.traffic }

    package func send(_ request: WireRequest) async throws(Failure) -> WireReply {
        let id = loop.newID()
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                loop.start(CurlTransfer(request, id, address, configuration, continuation))
            }
        } onCancel: {
            loop.cancel(id)
        }
        loop.forget(id)
        return try result.get()
    }
}

// MARK: the thread

/// `@unchecked Sendable`: `multi` and `active` belong to the thread in `run`. Others call `curl_multi_wakeup`; that
/// is allowed from any thread: under the inbox's lock, while `isStopping` is false, so not after the clean-up.
private final class CurlLoop: @unchecked Sendable {
    private struct Inbox {
        var lastID: UInt64 = 0
        var starting: [CurlTransfer] = []
        /// Ids that were cancelled; kept until the transfer is seen, for a cancellation can come before its start.
        var cancelled: Set<UInt64> = []
        var isStopping = false
        var traffic = Traffic()
    }
    private let inbox = Mutex(Inbox())
    private let multi: UnsafeMutableRawPointer
    private var active: [UnsafeMutableRawPointer: CurlTransfer] = [:]

    private static let started: Void = {
        let code = zz_curl_start()
        precondition(code == CURLE_OK, "libcurl cannot start: \(code.rawValue)")
    }()

    init() {
        _ = Self.started
        guard let multi = curl_multi_init() else { fatalError("libcurl: out of memory") }
        self.multi = multi
    }

    var traffic: Traffic { inbox.withLock { $0.traffic } }

    func newID() -> UInt64 {
        inbox.withLock {
            $0.lastID += 1
            return $0.lastID
        }
    }

    func start(_ transfer: CurlTransfer) {
        inbox.withLock {
            $0.starting.append(transfer)
            curl_multi_wakeup(multi)
        }
    }

    func cancel(_ id: UInt64) {
        inbox.withLock {
            guard !$0.isStopping else { return }
            $0.cancelled.insert(id)
            curl_multi_wakeup(multi)
        }
    }

    /// A cancellation can come in the moment in which the transfer ends.
    func forget(_ id: UInt64) { inbox.withLock { _ = $0.cancelled.remove(id) } }

    /// Called once, when the transport is gone and so no `send` is under way.
    func stop() {
        inbox.withLock {
            $0.isStopping = true
            curl_multi_wakeup(multi)
        }
    }

    func run() {
        blockBrokenPipes()
        while takeInbox() {
            var running: Int32 = 0
            curl_multi_perform(multi, &running)
            finishDone()
            // Ends early for sockets, libcurl's own timers and wakeups; a minute bounds what we did not think of.
            curl_multi_poll(multi, nil, 0, 60_000, nil)
        }
        for transfer in active.values { finish(transfer, .failure(.cancelled)) }
        curl_multi_cleanup(multi)
    }

    /// A TLS line that broke raises SIGPIPE, which would end the program. It goes to the thread that wrote: no need to
    /// change it for the whole program, whose own pipes may rely on it.
    private func blockBrokenPipes() {
        var signals = sigset_t()
        sigemptyset(&signals)
        sigaddset(&signals, SIGPIPE)
        pthread_sigmask(SIG_BLOCK, &signals, nil)
    }

    /// False when the loop shall end.
    private func takeInbox() -> Bool {
        let (starting, cancelled, isStopping) = inbox.withLock {
            let taken = ($0.starting, $0.cancelled, $0.isStopping)
            $0.starting = []
            return taken
        }
        for transfer in starting { begin(transfer) }
        for transfer in active.values where cancelled.contains(transfer.id) {
            finish(transfer, .failure(.cancelled))
        }
        return !isStopping
    }

    private func begin(_ transfer: CurlTransfer) {
        active[transfer.easy] = transfer
        transfer.configure()
        // A setting that libcurl does not take must not be passed over (a pin!): nothing is sent.
        if let problem = transfer.settingProblem {
            finish(transfer, .failure(.setting(detail: problem)))
            return
        }
        let code = curl_multi_add_handle(multi, transfer.easy)
        if code != CURLM_OK {
            finish(transfer, .failure(.other(detail: String(cString: curl_multi_strerror(code)))))
        }
    }

    private func finishDone() {
        var code = CURLE_OK
        while let easy = zz_curl_next_done(multi, &code) {
            guard let transfer = active[easy] else { continue }
            finish(transfer, transfer.outcome(code))
        }
    }

    private func finish(_ transfer: CurlTransfer, _ outcome: Result<WireReply, TransportProblem>) {
        let traffic = transfer.traffic
        curl_multi_remove_handle(multi, transfer.easy)
        active[transfer.easy] = nil
        inbox.withLock { $0.traffic += traffic }
        transfer.answer(outcome)
    }
}

// MARK: one transfer

/// `@unchecked Sendable`: made by the caller, then owned by the loop's thread; libcurl's callbacks run on that thread.
private final class CurlTransfer: @unchecked Sendable {
    let id: UInt64
    let easy: UnsafeMutableRawPointer
    private let request: WireRequest
    private let address: HubAddress
    private let configuration: CurlTransport.Configuration
    private let continuation: CheckedContinuation<Result<WireReply, Failure>, Never>
    /// Both must outlive the handle's use: libcurl keeps the pointers.
    private let errorText = UnsafeMutablePointer<CChar>.allocate(capacity: Int(CURL_ERROR_SIZE))
    private var headerLines: UnsafeMutablePointer<curl_slist>?
    private(set) var settingProblem: String?

    private var readAt: Int
    private var reply: ReplyAssembly

    private static let resendBytesMax = 64 * 1024

    init(
        _ request: WireRequest, _ id: UInt64, _ address: HubAddress, _ configuration: CurlTransport.Configuration,
        _ continuation: CheckedContinuation<Result<WireReply, Failure>, Never>
    ) {
        guard let easy = curl_easy_init() else { fatalError("libcurl: out of memory") }
        self.easy = easy
        self.request = request
        self.id = id
        self.address = address
        self.configuration = configuration
        self.continuation = continuation
        readAt = request.uploadOffset
        reply = ReplyAssembly(bodyBytesMax: configuration.replyBytesMax)
        errorText.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
    }

    deinit {
        curl_easy_cleanup(easy)
        curl_slist_free_all(headerLines)
        errorText.deallocate()
    }

    func answer(_ outcome: Result<WireReply, TransportProblem>) {
        continuation.resume(returning: outcome.mapError { $0.failure(hub: address.label) })
    }

    var traffic: Traffic {
        Traffic(
            bytesSent: zz_curl_get_long(easy, CURLINFO_REQUEST_SIZE)
                + Int(zz_curl_get_size(easy, CURLINFO_SIZE_UPLOAD_T)),
            bytesReceived: zz_curl_get_long(easy, CURLINFO_HEADER_SIZE)
                + Int(zz_curl_get_size(easy, CURLINFO_SIZE_DOWNLOAD_T)))
    }
}

// MARK: settings

extension CurlTransfer {
    func configure() {
        zz_curl_set_pointer(easy, CURLOPT_ERRORBUFFER, errorText)
        set(CURLOPT_URL, address.url + request.target)
        // Signals belong to the program, not to a library's name look-ups.
        set(CURLOPT_NOSIGNAL, 1)
        set(CURLOPT_PROTOCOLS_STR, address.isEncrypted ? "https" : "http")
        set(CURLOPT_CONNECTTIMEOUT_MS, configuration.connectTimeoutMs)
        set(CURLOPT_LOW_SPEED_LIMIT, configuration.lowSpeedBytesPerSecond)
        set(CURLOPT_LOW_SPEED_TIME, configuration.lowSpeedSeconds)
        zz_curl_set_size(easy, CURLOPT_MAXFILESIZE_LARGE, curl_off_t(configuration.replyBytesMax))
        set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1)
        // The environment names the proxy (libcurl reads it); this machine itself is never behind one.
        if address.isLoopback { set(CURLOPT_NOPROXY, "*") }
        configureTLS()
        configureRequest()
        configureCallbacks()
    }

    private func configureTLS() {
        set(CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2)
        if let file = configuration.certificateAuthorityFile { set(CURLOPT_CAINFO, file) }
        guard let pin = configuration.certificatePin else { return }
        set(CURLOPT_PINNEDPUBLICKEY, pin)
        guard configuration.certificateAuthorityFile == nil else { return }
        // The pin is the whole proof: a self-signed certificate has no authority, and its key needs none. A wrong clock
        // at the school cannot shut it out either.
        set(CURLOPT_SSL_VERIFYPEER, 0)
        set(CURLOPT_SSL_VERIFYHOST, 0)
    }

    private func configureRequest() {
        if request.method != .get {
            set(CURLOPT_UPLOAD, 1)
            zz_curl_set_size(easy, CURLOPT_INFILESIZE_LARGE, curl_off_t(request.body.count - request.uploadOffset))
        }
        set(CURLOPT_CUSTOMREQUEST, request.method.rawValue)
        // No "Expect: 100-continue": the hub sends none, and libcurl would wait a second for it before each upload.
        var lines = ["Expect:", "Accept:", "User-Agent: zzsync"]
        lines += request.headers.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }
        for line in lines { headerLines = curl_slist_append(headerLines, line) }
        zz_curl_set_pointer(easy, CURLOPT_HTTPHEADER, headerLines)
    }

    private func configureCallbacks() {
        // Unretained: the loop holds the transfer until it is removed from the multi handle.
        let me = Unmanaged.passUnretained(self).toOpaque()
        zz_curl_set_pointer(easy, CURLOPT_WRITEDATA, me)
        zz_curl_set_write(easy, CURLOPT_WRITEFUNCTION) { bytes, size, count, me in
            transfer(me).takeBody(UnsafeRawBufferPointer(start: bytes, count: size * count))
        }
        zz_curl_set_pointer(easy, CURLOPT_HEADERDATA, me)
        zz_curl_set_write(easy, CURLOPT_HEADERFUNCTION) { bytes, size, count, me in
            transfer(me).takeHeader(UnsafeRawBufferPointer(start: bytes, count: size * count))
        }
        zz_curl_set_pointer(easy, CURLOPT_READDATA, me)
        zz_curl_set_read(easy) { bytes, size, count, me in
            transfer(me).giveBody(UnsafeMutableRawBufferPointer(start: bytes, count: size * count))
        }
        // A kept connection that turns out dead is replaced by libcurl, which then sends the body again: see `seek`.
        zz_curl_set_pointer(easy, CURLOPT_SEEKDATA, me)
        zz_curl_set_seek(easy) { me, offset, origin in transfer(me).seek(to: Int(offset), origin: origin) }
    }

    private func set(_ option: CURLoption, _ value: Int) { note(zz_curl_set_long(easy, option, value)) }

    private func set(_ option: CURLoption, _ value: String) { note(zz_curl_set_text(easy, option, value)) }

    private func note(_ code: CURLcode) {
        if code != CURLE_OK { settingProblem = String(cString: curl_easy_strerror(code)) }
    }
}

/// The transfer behind libcurl's user pointer.
private func transfer(_ pointer: UnsafeMutableRawPointer?) -> CurlTransfer {
    Unmanaged<CurlTransfer>.fromOpaque(pointer!).takeUnretainedValue()
}

// MARK: callbacks; any count other than the given one makes libcurl end the transfer

extension CurlTransfer {
    fileprivate func takeBody(_ bytes: UnsafeRawBufferPointer) -> Int { reply.takeBody(bytes) ? bytes.count : 0 }

    fileprivate func takeHeader(_ bytes: UnsafeRawBufferPointer) -> Int { reply.takeHeader(bytes) ? bytes.count : 0 }

    fileprivate func giveBody(_ room: UnsafeMutableRawBufferPointer) -> Int {
        let count = min(room.count, request.body.count - readAt)
        request.body.withUnsafeBytes {
            room.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[readAt..<readAt + count]))
        }
        readAt += count
        return count
    }

    /// Lets libcurl start over what is small. A large upload that broke goes on at the hub's offset instead: libcurl
    /// does not know of offsets and would send all its bytes a second time.
    fileprivate func seek(to offset: Int, origin: Int32) -> Int32 {
        let target = request.uploadOffset + offset
        guard readAt - request.uploadOffset <= Self.resendBytesMax else { return CURL_SEEKFUNC_FAIL }
        guard origin == SEEK_SET, request.uploadOffset...request.body.count ~= target else {
            return CURL_SEEKFUNC_CANTSEEK
        }
        readAt = target
        return CURL_SEEKFUNC_OK
    }
}

// MARK: outcome

extension CurlTransfer {
    func outcome(_ code: CURLcode) -> Result<WireReply, TransportProblem> {
        guard code == CURLE_OK else { return .failure(problem(code)) }
        let status = zz_curl_get_long(easy, CURLINFO_RESPONSE_CODE)
        return .success(WireReply(status: status, headers: reply.headers, body: reply.body, traffic: traffic))
    }

    private func problem(_ code: CURLcode) -> TransportProblem {
        switch code {
        case CURLE_COULDNT_RESOLVE_HOST: return .unknownHost
        case CURLE_COULDNT_RESOLVE_PROXY: return .unknownProxy
        case CURLE_COULDNT_CONNECT: return connectProblem()
        case CURLE_OPERATION_TIMEDOUT: return timeoutProblem()
        case CURLE_PARTIAL_FILE, CURLE_GOT_NOTHING, CURLE_SEND_ERROR, CURLE_RECV_ERROR, CURLE_SEND_FAIL_REWIND,
            CURLE_HTTP2, CURLE_HTTP2_STREAM:
            return .cut(sent: traffic.bytesSent, received: traffic.bytesReceived)
        case CURLE_SSL_PINNEDPUBKEYNOTMATCH: return .wrongPin
        case CURLE_PEER_FAILED_VERIFICATION: return .untrustedCertificate(detail: detail(code))
        case CURLE_SSL_CONNECT_ERROR: return .tls(detail: detail(code))
        case CURLE_SSL_CACERT_BADFILE, CURLE_PROXY, CURLE_URL_MALFORMAT: return .setting(detail: detail(code))
        case CURLE_FILESIZE_EXCEEDED: return .replyTooLarge(bytesMax: configuration.replyBytesMax)
        case CURLE_WRITE_ERROR where reply.isTooLarge: return .replyTooLarge(bytesMax: configuration.replyBytesMax)
        // The scheme is ours and known, so this is about the answer: a status line that HTTP/1 does not have.
        case CURLE_UNSUPPORTED_PROTOCOL, CURLE_WEIRD_SERVER_REPLY: return .notHTTP
        default: return .other(detail: detail(code))
        }
    }

    private func connectProblem() -> TransportProblem {
        switch Int32(zz_curl_get_long(easy, CURLINFO_OS_ERRNO)) {
        case ECONNREFUSED: .refused
        case ENETUNREACH, EHOSTUNREACH, ENETDOWN: .noRoute
        default: .other(detail: detail(CURLE_COULDNT_CONNECT))
        }
    }

    /// One code for two things: nothing of the request went out, or the line fell asleep after it.
    private func timeoutProblem() -> TransportProblem {
        guard zz_curl_get_long(easy, CURLINFO_REQUEST_SIZE) > 0 else {
            return .connectTimeout(milliseconds: configuration.connectTimeoutMs)
        }
        return .tooSlow(
            bytesPerSecond: configuration.lowSpeedBytesPerSecond, seconds: configuration.lowSpeedSeconds)
    }

    /// libcurl's own words, without a full stop.
    private func detail(_ code: CURLcode) -> String {
        let text = String(cString: errorText)
        return text.isEmpty ? String(cString: curl_easy_strerror(code)) : text
    }
}
