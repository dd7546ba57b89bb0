#include "greet.h"

#include <stdio.h>

void greet(const char *name) { printf("Good day, %s.\n", name); }
