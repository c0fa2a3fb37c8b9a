"""The school's bad line: a small TCP proxy between a node and its hub that can be cut in the middle of an upload.

It carries bytes unchanged and reads along only as far as it must to know where a PUT of a segment begins and how much of
it has passed, so that what was sent is measured outside of zzsync.
"""
import os, re, socket, struct, threading

PUT = re.compile(rb"PUT (/v1/segments/[^ ?]+)(?:\?(\S*))? HTTP/1")
LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.I)


class Upload:
    """One PUT as it passed: `body` bytes were announced, `passed` of them went through."""

    def __init__(self, segment, query, body):
        values = dict(part.split("=", 1) for part in query.split("&") if "=" in part)
        self.segment, self.body, self.passed = segment.rsplit("/", 1)[1], body, 0
        self.offset = int(values.get("offset", 0))
        self.size = int(values.get("size", self.offset + body))     # of the whole segment


class Line:
    def __init__(self, port):
        self.target, self.uploads = ("127.0.0.1", port), []
        self.is_up, self.cut_next, self.was_cut, self.open = True, False, threading.Event(), set()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = "http://127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def cut_in_next_upload(self):
        """Half of the next segment passes; then the line is down until `mend`."""
        self.cut_next = True

    def mend(self):
        self.is_up = True

    def detach(self):
        """Goes on in a process of its own after this program has ended: its process id."""
        pid = os.fork()
        if pid: return pid
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2): os.dup2(null, stream)
        self.is_up, self.cut_next = True, False
        try:
            self.accept()
        finally:
            os._exit(0)

    def accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
                if not self.is_up:
                    reset(near)
                    continue
                far = socket.create_connection(self.target, 5)
                far.settimeout(None)
            except OSError:
                near.close()
                continue
            self.open |= {near, far}
            threading.Thread(target=self.up, args=(near, far), daemon=True).start()
            threading.Thread(target=self.down, args=(far, near), daemon=True).start()

    def down(self, far, near):
        try:
            while data := far.recv(65536): near.sendall(data)
        except OSError:
            pass
        for end in (near, far): shut(end, socket.SHUT_RDWR)     # wakes `up`, which may be reading
        for end in (near, far): end.close()
        self.open -= {near, far}

    def up(self, near, far):
        head, body, upload, limit = b"", 0, None, None      # body: bytes of this request's body still to come
        try:
            while data := near.recv(65536):
                while data:
                    if body == 0:
                        seen = len(head)
                        head += data
                        end = head.find(b"\r\n\r\n")
                        taken, data = (data, b"") if end < 0 else (data[:end + 4 - seen], data[end + 4 - seen:])
                        far.sendall(taken)
                        if end < 0: continue
                        length, put, head = LENGTH.search(head, 0, end), PUT.match(head), b""
                        body, upload = int(length[1]) if length else 0, None
                        if put and body:
                            upload = Upload(put[1].decode(), (put[2] or b"").decode(), body)
                            self.uploads.append(upload)
                            limit = body // 2 if self.cut_next else None
                        continue
                    part = data[:body if limit is None or not upload else min(body, limit - upload.passed)]
                    far.sendall(part)
                    data, body = data[len(part):], body - len(part)
                    if upload:
                        upload.passed += len(part)
                        if limit is not None and upload.passed >= limit: return self.cut(near, far)
        except OSError:
            pass
        shut(far)

    def cut(self, near, far):
        """The hub sees an end, the node a reset; what passed arrives, as it does on a real line."""
        self.is_up = self.cut_next = False
        try:
            reset(near)     # first: when the hub has seen its end, `down` closes both
        except OSError:
            pass
        shut(far, socket.SHUT_WR)
        for other in self.open - {near, far}: shut(other, socket.SHUT_RDWR)
        self.open.clear()
        self.was_cut.set()


def shut(end, how=socket.SHUT_WR):
    try:
        end.shutdown(how)
    except OSError:
        pass


def reset(end):
    """Closes with a reset. Shut first: another thread may be reading here, and the kernel closes only when it has left."""
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    shut(end, socket.SHUT_RD)
    end.close()
