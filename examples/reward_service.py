import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class RewardService(BaseHTTPRequestHandler):
    def do_POST(self):
        rollouts = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["rollouts"]
        rewards = [min(1.0, 2000 / len(rollout["response"] or " ")) for rollout in rollouts]
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"rewards": rewards, "version": "1"}).encode())


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), RewardService).serve_forever()
