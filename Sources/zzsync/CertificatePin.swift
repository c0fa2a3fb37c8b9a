// The pin of a certificate's public key, as libcurl checks it: SHA-256 over the SubjectPublicKeyInfo.

import Crypto
import Foundation
import NIOSSL
import Shared

enum CertificatePin {
    /// - Throws: `Failure(.usage)` when the file holds no certificate.
    static func of(file: String) throws(Failure) -> String {
        do {
            guard let certificate = try NIOSSLCertificate.fromPEMFile(file).first else { throw CocoaError(.fileReadCorruptFile) }
            let key = try certificate.extractPublicKey().toSPKIBytes()
            return "sha256//" + Data(SHA256.hash(data: key)).base64EncodedString()
        } catch {
            throw Failure(.usage, "\(file) holds no PEM certificate.", next: "Name the file that `hub serve --tls-cert` uses.")
        }
    }
}
