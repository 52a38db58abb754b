/* connect ADDRESS PORT [REQUEST]: reaches an address by number; anything that greets with the probe's word is outside. */
#include "outside.h"

int main(int count, char** values) {
  if (count < 3) return broken("no address");
  const int peer = connect_to(values[1], values[2]);
  if (peer < 0) return held(error_name());
  return judge_outside(peer, count > 3 ? values[3] : "probe\r\n\r\n");
}
