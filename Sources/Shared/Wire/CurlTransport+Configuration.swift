// The bounds of a line. The time-outs are for lines of schools, not of data centres.

extension CurlTransport {
    package struct Configuration: Hashable, Sendable {
        /// `sha256//<base64>` of the certificate's public key, from the invite.
        package var certificatePin: String?
        /// PEM file; with it the certificate is verified besides the pin.
        package var certificateAuthorityFile: String?
        /// Plain HTTP beyond this machine; only where the invite allows it.
        package var allowInsecureHTTP = false
        /// Covers the TLS handshake too. Half a minute: satellite and 2G lines need ten seconds on a bad day.
        package var connectTimeoutMs = 30_000
        /// Slower than this for so long is a dead line. GPRS at its worst still carries a hundred bytes a second.
        package var lowSpeedBytesPerSecond = 10
        package var lowSpeedSeconds = 60
        /// The largest answer that is read: log pages are asked for in far fewer bytes, one large merge may exceed that.
        package var replyBytesMax = SegmentHeader.byteCount + Limits.pageBodyBytesMax

        package init(
            certificatePin: String? = nil, certificateAuthorityFile: String? = nil, allowInsecureHTTP: Bool = false
        ) {
            self.certificatePin = certificatePin
            self.certificateAuthorityFile = certificateAuthorityFile
            self.allowInsecureHTTP = allowInsecureHTTP
        }
    }
}
