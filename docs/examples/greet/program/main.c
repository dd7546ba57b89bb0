#include <greet.h>

int main(int count, char **words) {
  greet(count > 1 ? words[1] : "whoever you are");
  return 0;
}
